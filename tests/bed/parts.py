"""Where the programs are that the bed starts; every file of the bed that starts one asks here.

A program that is missing skips the test and says why; conftest.py turns that into a failure in CI.
"""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".amend" / "cache"

_UNPACKED = ROOT / ".amend" / "parts" / "usr" / "bin"  # scripts/parts unpacks Debian's packages there
_POSTGRESQL = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)  # Debian's, the newest first
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", *_POSTGRESQL, str(_UNPACKED)])

PROGRAMS = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("alertmanager", "prometheus-alertmanager"),
    "amtool": ("amtool",),
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "dockerd": ("dockerd",),
    "docker-compose": ("docker-compose",),
    "debootstrap": ("debootstrap",),
    "busybox": ("busybox",),
    "postgres": ("postgres",),
    "initdb": ("initdb",),
    "strace": ("strace",),
}


def program(name: str) -> str:
    """The path of a program: the one that its variable (`PROMETHEUS=…`) names, else the first that is found."""
    chosen = os.environ.get(name.upper().replace("-", "_"))
    found = chosen or next(filter(None, (shutil.which(each, path=_PATH) for each in PROGRAMS[name])), None)
    if not found:
        pytest.skip(f"no {name} here; scripts/test fetches it or says how to get it")
    return found


def needs_root(why: str) -> None:
    """Skip unless this is root."""
    if os.geteuid() != 0:
        pytest.skip(f"not root: {why}")
