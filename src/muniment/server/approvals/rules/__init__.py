"""What follows from what is held, from requests and from approvals: pure functions."""
