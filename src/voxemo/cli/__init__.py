"""One file per verb: parse arguments, call a step, print."""
