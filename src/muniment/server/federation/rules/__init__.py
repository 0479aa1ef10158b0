"""What may be fetched from where, how acts become events, how deliveries are signed."""
