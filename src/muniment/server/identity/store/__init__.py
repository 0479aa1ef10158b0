"""The rows of identity."""
