"""MLflow: runs, semantic versions, aliases, lineage."""
