"""What is in force, what was said, and the tables as the log has them."""
