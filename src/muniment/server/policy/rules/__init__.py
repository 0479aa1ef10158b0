"""What bundles say, and what follows from the answers of their rules; pure."""
