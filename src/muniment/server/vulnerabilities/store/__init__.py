"""The rows of vulnerabilities. Every function takes a `Tx`; none commits."""
