"""An example of each kind of VoxEmo plugin: a corpus, a backend, a metric."""
