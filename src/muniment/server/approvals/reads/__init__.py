"""What is asked across the slices below, and of requests and approvals."""
