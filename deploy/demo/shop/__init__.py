"""A small shop to break: orders asks users and payments; each is one process, or one container of the same image.

`deploy/demo` starts the services and the load; nothing here knows of Amend.
"""
