"""Formats that hold one thing each, checked as far as loading them could do harm."""
