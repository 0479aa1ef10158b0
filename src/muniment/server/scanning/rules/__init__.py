"""What follows from scans alone; pure."""
