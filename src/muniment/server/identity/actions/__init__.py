"""What may be done to who calls."""
