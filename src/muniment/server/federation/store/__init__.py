"""Rows of federation. Every function takes a `Tx`; none commits."""
