"""Every metric, ensemble, reference row and interval. Arrays in, numbers out. Pure."""
