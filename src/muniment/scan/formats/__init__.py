"""What a file is, as its bytes say."""
