"""Jobs of a Kubernetes cluster, by its API server; no client package and no command line is needed."""
