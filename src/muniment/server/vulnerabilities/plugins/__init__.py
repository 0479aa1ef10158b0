"""Reading the files that vulnerability databases come in."""
