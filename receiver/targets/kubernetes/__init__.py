"""A Kubernetes cluster as a platform: cluster.py is the platform, the other files are what it does and speaks with."""
