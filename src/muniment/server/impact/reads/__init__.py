"""What is read of the slices below: what contains something, and where things come from."""
