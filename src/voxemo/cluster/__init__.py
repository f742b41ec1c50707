"""A run over more than one machine: the shards of `infer`, handed to workers of a cluster that come and go."""
