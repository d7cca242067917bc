"""Model servers as pods of a Kubernetes cluster: what `masker fleet` does there."""
