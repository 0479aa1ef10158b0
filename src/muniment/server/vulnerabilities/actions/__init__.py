"""The verbs of vulnerabilities. They take an open transaction and never commit."""
