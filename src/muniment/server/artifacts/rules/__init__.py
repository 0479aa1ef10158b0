"""The decisions of artifacts: pure functions over paths, manifests and bytes."""
