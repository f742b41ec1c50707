"""The facts of the benchmark as data files, and how to look them up."""
