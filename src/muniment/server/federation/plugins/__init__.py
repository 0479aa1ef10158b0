"""Other systems this registry reads from."""
