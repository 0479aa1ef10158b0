"""What follows from a manifest alone; pure."""
