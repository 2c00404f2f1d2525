"""A Docker host as a platform: host.py is the platform, the other files are what it does and speaks with."""
