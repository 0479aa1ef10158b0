"""MLflow's client with this registry behind it: `mlflow.set_registry_uri("muniment://HOST")`.

MLflow finds these modules by their entry points and is imported by nothing else of ours. Reading is
left to MLflow's own REST store, which our server answers; what moves bytes goes through the SDK:
registering sends only what the registry lacks, and nothing downloaded counts before every byte was
checked. Runs may be tracked anywhere.

Source: MLflow's plugin contract (`mlflow.model_registry_store`, `mlflow.artifact_repository`,
`mlflow.request_auth_provider`).
"""
