"""The listening page: what `voxemo view` serves on this machine, to its user alone."""
