"""The catalog's decisions: pure functions over records. Time and ids are arguments."""
