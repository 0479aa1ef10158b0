"""Rows of environments, deployments and attempts. Every function takes a `Tx`; none commits."""
