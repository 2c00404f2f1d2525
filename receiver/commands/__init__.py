"""The commands of `amend` that come in groups, one file per noun; cli.py mounts them."""
