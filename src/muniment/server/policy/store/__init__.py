"""Bundles on disk and in the database, activations, verdicts, simulations."""
