"""What is read of identity."""
