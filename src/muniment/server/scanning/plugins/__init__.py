"""What evidence needs to read of scans: the parser of their reports."""
