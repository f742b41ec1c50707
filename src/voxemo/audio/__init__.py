"""The one path from a file to samples."""
