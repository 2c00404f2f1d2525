"""Amend writes detection rules for Prometheus, answers their alerts and checks that it helped."""
