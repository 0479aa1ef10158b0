"""Rows of tracking. Every function takes a `Tx`; none commits."""
