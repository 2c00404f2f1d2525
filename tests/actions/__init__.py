"""The verbs of playbooks, each through a real run."""
