"""The decisions of the lifecycle: pure functions over standings, deployments and facts."""
