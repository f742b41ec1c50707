"""Systems that learn: a split's training part in, a model card per fold out."""
