"""The straight line, one function per arrow."""
