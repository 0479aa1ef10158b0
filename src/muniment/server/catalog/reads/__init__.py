"""Queries for display, search and comparison with the log."""
