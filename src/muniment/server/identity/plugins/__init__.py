"""What identity asks of others: issuers, for their keys."""
