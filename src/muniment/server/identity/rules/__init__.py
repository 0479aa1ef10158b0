"""What identity decides, pure: access by roles and tokens, trust in pipelines."""
