"""Real parts for tests, one per file: each starts what it is named after and stops it by its id."""
