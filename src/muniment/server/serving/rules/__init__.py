"""The decisions of serving: pure functions over uses, facts and standings."""
