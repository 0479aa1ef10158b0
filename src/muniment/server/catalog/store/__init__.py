"""The catalog's SQL."""
