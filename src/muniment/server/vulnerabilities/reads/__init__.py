"""What is asked of vulnerabilities."""
