"""What differs between model families of the local backend."""
