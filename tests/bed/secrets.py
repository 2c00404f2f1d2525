"""Secrets for an example of amend.yml: what a test puts where the example names a file."""

import re
from pathlib import Path

FITTING = {"hash": "0" * 64, "url": "https://hooks.example.com/services/secret"}
"""What stands in the file of a key that takes more than any text."""
STORE = "postgresql://amend:secret@db.example.com/amend"


def write_secrets(settings: str, beside: Path) -> None:
    """A file wherever the text of amend.yml names one beside itself."""
    for key, name in re.findall(r"(\w+)_file: ([^\s,}]+)", settings):
        if not name.startswith("/"):
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            (beside / name).write_text(STORE if "store" in name else FITTING.get(key, "secret"))
