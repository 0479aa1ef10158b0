"""What follows from evidence alone; pure."""
