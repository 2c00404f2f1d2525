"""A first playbook and its test for an alert, from the rules that raise it and from what amend.yml has.

`amend playbooks init` writes what comes of `draft`. Whatever the rules hold, both can be read, and the test passes.
"""

import hashlib
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path

from receiver.first_playbook.aim import choose
from receiver.first_playbook.cure import prescribe
from receiver.first_playbook.draft import SOMEBODY, Draft
from receiver.first_playbook.plan import plan
from receiver.first_playbook.story import story
from receiver.first_playbook.subject import NoSuchAlert, Subject, find, in_words
from receiver.first_playbook.surroundings import Surroundings
from receiver.first_playbook.text import playbook, safe

__all__ = [
    "SOMEBODY",
    "Draft",
    "NoSuchAlert",
    "Subject",
    "Surroundings",
    "draft",
    "file_name",
    "find",
    "playbook",
    "safe",
    "story",
]

LONGEST_NAME = 63  #: characters of a playbook's name


def draft(subject: Subject, around: Surroundings, *, file: Path, check: str, taken: Collection[str]) -> Draft:
    """Everything decided. `check` is the command that checks the playbook, `taken` the names of others."""
    choice = choose(subject, around)
    cure = prescribe(subject, choice.aim)
    return Draft(
        name=_free(_name(subject.name), taken),
        subject=subject,
        choice=choice,
        cure=cure,
        plan=plan(subject, choice.aim, cure.remedy, asks_prometheus=around.asks_prometheus),
        around=around,
        check=check,
        file=file,
        test=file.parent / "tests" / file.name,
    )


def file_name(alert: str) -> str:
    """`HttpLatencyAnomaly.yml`; of a name that makes no good file's, what is left of it."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", _latin(alert)).strip("-")
    return f"{plain[:100] if plain else _name(alert)}.yml"


def _name(alert: str) -> str:
    """`http-latency-anomaly`."""
    words = "-".join(in_words(_latin(alert)).split())
    # of a name in another script nothing may be left
    return words[:LONGEST_NAME].rstrip("-") or f"alert-{hashlib.sha256(alert.encode()).hexdigest()[:8]}"


def _latin(text: str) -> str:
    """Ü is U."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _free(name: str, taken: Collection[str]) -> str:
    if name not in taken:
        return name
    numbered = (f"{name[: LONGEST_NAME - 4].rstrip('-')}-{number}" for number in range(2, len(taken) + 3))
    return next(each for each in numbered if each not in taken)
