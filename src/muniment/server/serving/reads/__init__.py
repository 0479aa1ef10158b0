"""What is read of bindings: who uses what, how each stands now, and the tables as the log has them."""
