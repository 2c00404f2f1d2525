"""Child processes that answer like containers: the part of the Docker Engine API that the demo's loop needs.

`python -m engine` serves it on a unix socket, so that docker clients, Prometheus' discovery and Amend's own verbs work
where no Docker Engine can run. It isolates nothing and is no more than a stand-in.
"""
