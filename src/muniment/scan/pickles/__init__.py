"""Pickles, read instruction by instruction and never run."""
