"""What MLflow means and how it is written: pure translation in both directions."""
