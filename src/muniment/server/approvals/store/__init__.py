"""Rows of requests, of what people signed, of decisions and exceptions."""
