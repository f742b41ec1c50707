"""Reads corpus folders: trees, parsers, checks, published folds."""
