"""A small built-in corpus, so that everything runs with no download."""
