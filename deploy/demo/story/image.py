"""The shop as an image, made from what is on this machine: nothing is pulled from a registry.

Without a base image it holds this very Python with the libraries it links to; with one, only the packages and the
shop, which are plain Python and run on any python from 3.11.
"""

import io
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from story.compose import Client
from story.part import Broken
from story.parts import DEMO

PACKAGES = ("httpx", "prometheus-client", "starlette", "uvicorn")
HOME = Path("/srv")
UNNEEDED = {"ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tests", "tkinter", "turtledemo"}
ELSEWHERE = {"dist-packages", "site-packages"}  # of this machine's Python: the shop brings its own
PYTHON = Path(sys.executable).resolve()
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONPATH": f"{HOME}/site:{HOME}",
}
LINKED = re.compile(r"(/\S+) \(0x")  # a library in what ldd prints, whether found or named by its path


def make(client: Client, tag: str, *, base: str | None, environment: Mapping[str, str] | None = None) -> None:
    if base:
        _build_on(client, tag, base=base, environment=environment or {})
    else:
        _import(client, tag, environment=environment or {})


def derive(client: Client, tag: str, *, model: str, environment: Mapping[str, str]) -> None:
    """The model with another environment, and nothing else."""
    dockerfile = "\n".join([f"FROM {model}", *_settings(environment)])
    client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, rm=True)


def _import(client: Client, tag: str, *, environment: Mapping[str, str]) -> None:
    repository, _, version = tag.rpartition(":")
    tree = _tar([*_python(), *_shop(HOME)], link=(Path("/usr/local/bin/python3"), PYTHON))
    api: Any = client.api
    api.import_image_from_data(
        tree, repository=repository, tag=version, changes=_settings({**ENVIRONMENT, **environment})
    )


def _build_on(client: Client, tag: str, *, base: str, environment: Mapping[str, str]) -> None:
    settings = _settings({"PYTHONPATH": ENVIRONMENT["PYTHONPATH"], **environment})
    dockerfile = "\n".join([f"FROM {base}", f"COPY srv {HOME}", *settings])
    context = io.BytesIO(_tar(_shop(Path("srv")), text=("Dockerfile", dockerfile.encode())))
    client.images.build(fileobj=context, custom_context=True, tag=tag, rm=True)


def _settings(environment: Mapping[str, str]) -> list[str]:
    """As a Dockerfile has them, which knows a shell's quotes."""
    return [f"ENV {name}={shlex.quote(value)}" for name, value in environment.items()]


def _shop(at: Path) -> Iterator[tuple[Path, Path]]:
    """What runs anywhere, and where it goes."""
    yield DEMO / "shop", at / "shop"
    for name in sorted(_closure(PACKAGES)):
        files = metadata.files(name)
        if files is None:
            raise Broken(f"the package {name} does not tell its files; install it by pip or uv")
        for file in files:
            if ".." not in file.parts and file.suffix not in (".so", ".pyc"):
                yield Path(str(file.locate())), at / "site" / str(file)


def _closure(names: Iterable[str]) -> set[str]:
    """The packages and what they need, without extras."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found or not _installed(name):  # not installed: not needed on this Python
            continue
        found.add(name)
        needs = [need for need in metadata.requires(name) or () if "extra ==" not in need]
        waiting += [match[0] for need in needs if (match := re.match(r"[\w.-]+", need))]
    return found


def _installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _python() -> Iterator[tuple[Path, Path]]:
    """The interpreter, its standard library, and the shared libraries of both."""
    standard = Path(sysconfig.get_path("stdlib"))
    yield PYTHON, PYTHON
    yield standard, standard
    native = [PYTHON, *(standard / "lib-dynload").glob("*.so")]
    told = subprocess.run(["ldd", *map(str, native)], capture_output=True, text=True, check=False).stdout
    for library in sorted(set(LINKED.findall(told))):
        yield Path(library).resolve(), Path(os.path.normpath(library))


def _tar(
    entries: Iterable[tuple[Path, Path]],
    *,
    link: tuple[Path, Path] | None = None,
    text: tuple[str, bytes] | None = None,
) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for source, target in entries:
            tar.add(source, str(target), filter=_needed)
        if link:
            entry = tarfile.TarInfo(str(link[0]))
            entry.type, entry.linkname = tarfile.SYMTYPE, str(link[1])
            tar.addfile(entry)
        if text:
            entry = tarfile.TarInfo(text[0])
            entry.size = len(text[1])
            tar.addfile(entry, io.BytesIO(text[1]))
    return packed.getvalue()


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(entry.name).parts
    if not (UNNEEDED | ELSEWHERE).isdisjoint(parts):
        return None
    entry.uid = entry.gid = 0
    return entry
