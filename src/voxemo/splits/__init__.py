"""Rules that divide utterances into folds, and checks of the result. Pure."""
