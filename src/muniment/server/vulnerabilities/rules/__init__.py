"""What follows from advisories and components alone; pure."""
