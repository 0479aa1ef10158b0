"""What federation does later: bring bytes here, tell others what happened."""
