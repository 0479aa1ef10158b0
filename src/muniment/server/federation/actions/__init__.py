"""The verbs of federation."""
