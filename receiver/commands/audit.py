"""`amend audit …`: read, verify and export the audit log, of a running receiver or of a file with nobody running.

cli.py mounts it. What is given as a file, a database, a key or a head is checked here, hash by hash.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from receiver.commands.options import URL, Format, HmacKeyFile, KeyFile, Output, Url, examples, group
from receiver.commands.terminal import inline, moment, plain, say, say_json, say_table

if TYPE_CHECKING:
    from receiver.audit import Entry

SQLITE = b"SQLite format 3\x00"  #: how each database file begins

Source = Annotated[
    str | None,
    typer.Argument(help="An export, a SQLite file or a database URL. Without it the receiver at --url is asked."),
]

app = group("The audit log: every decision, and every step, chained by hashes.")


@app.command(
    "list", epilog=examples("amend audit list", "amend audit list --run 7", "amend audit list --kind skipped -o json")
)
def list_entries(
    *,
    kind: Annotated[str | None, typer.Option(help="Only entries that tell this, such as step_done.")] = None,
    run: Annotated[int | None, typer.Option(help="Only entries about this run.")] = None,
    episode: Annotated[int | None, typer.Option(help="Only entries about this episode.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 20,
    url: Url = URL,
    key_file: KeyFile = None,
    output: Output = Format.SIMPLE,
) -> None:
    """List entries, the newest first."""
    from receiver.client import Receiver

    with Receiver(url, key_file) as receiver:
        entries = list(receiver.rows("audit", limit=limit, kind=kind, run=run, episode=episode))
    if output is Format.JSON:
        say_json({"audit": entries})
        return
    say_table(
        ("SEQ", "AT", "KIND", "ACTOR", "EPISODE", "RUN", "DATA"),
        [
            (
                entry["seq"],
                moment(entry["at"]),
                entry["kind"],
                entry["actor"],
                entry["episode"],
                entry["run"],
                inline(entry["data"]),
            )
            for entry in entries
        ],
    )


@app.command(
    epilog=examples(
        "amend audit verify",
        "amend audit verify amend.db --hmac-key-file secrets/audit.key",
        "amend audit verify export.jsonl --head 3f6c…",
        "amend audit verify amend.db --anchors /mnt/elsewhere/anchors.jsonl",
    )
)
def verify(
    source: Source = None,
    *,
    hmac_key_file: HmacKeyFile = None,
    head: Annotated[
        str | None, typer.Option(help="A hash kept elsewhere that the log must hold; shows a cut-off tail.")
    ] = None,
    anchors: Annotated[
        Path | None, typer.Option(help="The file that audit.anchor wrote: the log must hold each of its hashes.")
    ] = None,
    url: Url = URL,
    key_file: KeyFile = None,
    output: Output = Format.SIMPLE,
) -> None:
    """Check every hash and every link of the chain; exit 1 where it is broken.

    A running receiver checks its own log, with its own key. To take nobody's word for it give the key or a head, or
    verify an export or the database.
    """
    from receiver.audit import Broken
    from receiver.audit import verify as verify_chain

    if not (source or hmac_key_file or head or anchors):
        _tell_receivers_word(url, key_file, output)
        return
    seen = _Seen(head, _anchored(anchors))
    try:
        with _entries(source, url, key_file) as entries:
            verdict = verify_chain(seen.each(entries), _secret(hmac_key_file))
        seen.check()
    except Broken as broken:
        if output is not Format.JSON:
            raise
        say_json({"verified": False, "problem": str(broken)})
        raise typer.Exit(1) from None
    if output is Format.JSON:
        say_json({"verified": True, "entries": verdict.entries, "head": verdict.head, "keyed": verdict.keyed})
        return
    say(str(verdict))


@app.command(epilog=examples("amend audit export > audit.jsonl", "amend audit export amend.db --out audit.jsonl"))
def export(
    source: Source = None,
    *,
    out: Annotated[Path | None, typer.Option(help="The file to write; standard output without it.")] = None,
    url: Url = URL,
    key_file: KeyFile = None,
) -> None:
    """Write the whole log as JSON lines, which `amend audit verify` checks anywhere."""
    import json

    from receiver.errors import ConfigError

    with _entries(source, url, key_file) as entries, contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(out.open("w")) if out else None
        except OSError as error:
            raise ConfigError(out or "", None, f"cannot be written: {error.strerror} (--out)") from error
        for entry in entries:
            typer.echo(json.dumps(entry.as_json(), ensure_ascii=True), file=file)


def _tell_receivers_word(url: str, key_file: Path | None, output: Format) -> None:
    from receiver.client import Receiver

    with Receiver(url, key_file) as receiver:
        answer = receiver.get("audit/verify")
    if output is Format.JSON:
        say_json(answer)
    else:
        say(answer["text"])
    if not answer["verified"]:
        raise typer.Exit(1)


class _Seen:
    """Whether a log holds the hashes that it should, and anything at all."""

    def __init__(self, head: str | None, anchors: Mapping[int, str]) -> None:
        self._head = head
        self._anchors = anchors
        self._found = head is None
        self._last = 0  #: the last row

    def each(self, entries: "Iterator[Entry]") -> "Iterator[Entry]":
        from receiver.audit import Broken

        for entry in entries:
            self._found = self._found or entry.hash.startswith(self._head or "")
            self._last = entry.seq
            if self._anchors.get(entry.seq, entry.hash) != entry.hash:
                raise Broken(f"row {entry.seq} had another hash when it was anchored: the log was rewritten")
            yield entry

    def check(self) -> None:
        from receiver.audit import Broken

        if not self._last:
            raise Broken("the log is empty, and a receiver that has ever started left a row: it was cut off")
        if self._anchors and max(self._anchors) > self._last:
            raise Broken(f"row {max(self._anchors)} was anchored, and the log ends at row {self._last}: it was cut off")
        if not self._found:
            raise Broken(f"no row has the hash {plain(self._head)}: the log was cut off before it, or rewritten")


def _anchored(path: Path | None) -> Mapping[int, str]:
    """Hashes by row; those of rows that retention has removed since are not asked for."""
    from receiver.anchor import read_anchors
    from receiver.errors import ConfigError

    if path is None:
        return {}
    try:
        return {head.seq: head.hash for head in read_anchors(path)}
    except OSError as error:
        raise ConfigError(path, None, f"cannot be read: {error.strerror} (--anchors)") from error


@contextlib.contextmanager
def _entries(source: str | None, url: str, key_file: Path | None) -> "Iterator[Iterator[Entry]]":
    """The log's entries in order, wherever it is."""
    if source is None:
        with _from_receiver(url, key_file) as entries:
            yield entries
    elif "://" in source:
        with _from_database(source) as entries:
            yield entries
    else:
        with _from_file(Path(source)) as entries:
            yield entries


@contextlib.contextmanager
def _from_receiver(url: str, key_file: Path | None) -> "Iterator[Iterator[Entry]]":
    from receiver.audit import read_export
    from receiver.client import Receiver

    with Receiver(url, key_file) as receiver:
        yield read_export(receiver.lines("audit/export"))


@contextlib.contextmanager
def _from_file(path: Path) -> "Iterator[Iterator[Entry]]":
    from receiver.audit import Broken, read_export
    from receiver.errors import ConfigError

    try:
        with path.open("rb") as file:
            begins = file.read(len(SQLITE))
    except OSError as error:
        raise ConfigError(path, None, f"cannot be read: {error.strerror}") from error
    if begins == SQLITE:
        with _from_database(f"sqlite:///{path}") as entries:
            yield entries
        return
    try:
        with path.open() as lines:
            yield read_export(lines)
    except UnicodeDecodeError as error:
        raise Broken(f"{path}: neither an export nor a SQLite file (byte {error.start} is not text)") from error


@contextlib.contextmanager
def _from_database(url: str) -> "Iterator[Iterator[Entry]]":
    from receiver.audit import Broken
    from receiver.errors import ConfigError
    from receiver.store import log
    from receiver.store.engine import open_to_read

    engine = open_to_read(url)
    place = engine.url.render_as_string(hide_password=True)
    import sqlalchemy as sa

    try:
        with engine.connect() as connection:
            yield log.entries(connection)
    except sa.exc.OperationalError as error:
        raise ConfigError(place, None, f"the log cannot be read: {error.orig}") from error
    except sa.exc.DatabaseError as error:
        raise Broken(f"{place}: {error.orig}") from error
    finally:
        engine.dispose()


def _secret(path: Path | None) -> bytes | None:
    from receiver.errors import ConfigError
    from receiver.secret_file import NoSecret, secret_in

    if path is None:
        return None
    try:
        return secret_in(path).encode()
    except NoSecret as error:
        raise ConfigError(path, None, f"{error}; put the key of the log there (--hmac-key-file)") from error
