"""Playbooks rehearsed: the production pipeline, guards and store, under a clock that stands still until it is moved.

Only what is outside is simulated: the platforms, Prometheus, Alertmanager, and whoever is told.
"""
