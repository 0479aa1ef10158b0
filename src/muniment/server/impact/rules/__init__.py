"""What follows from a question alone; pure."""
