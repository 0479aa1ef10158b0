"""The registry server: slices over PostgreSQL and a blob store."""
