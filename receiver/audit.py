"""The audit log's hash chain: how an entry is sealed, and how anybody checks a whole log without the receiver.

The store appends sealed entries in the transaction of what they tell; `amend audit verify` checks them, also in an
export. Without a key the chain shows accidents and clumsy edits; with an HMAC key also edits by those who lack the key.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from receiver.errors import AmendError

GENESIS = "0" * 64  #: what the first entry is chained to


class Kind(StrEnum):
    """What an entry tells."""

    STARTED = "started"  #: a receiver started, on this configuration
    RELOADED = "reloaded"  #: new configuration is in force
    RELOAD_REFUSED = "reload_refused"  #: the new configuration was bad; the old one stays
    EPISODE_OPENED = "episode_opened"  #: an alert fired
    EPISODE_REOPENED = "episode_reopened"  #: it fired again soon after it closed
    EPISODE_CLOSED = "episode_closed"  #: it ended
    NO_MATCH = "no_match"  #: no playbook answers it
    ALERT_STALE = "alert_stale"  #: a late `firing` of something that is over: never acted on
    SKIPPED = "skipped"  #: decided not to act
    OBSERVED = "observed"  #: would have acted
    APPROVAL_ASKED = "approval_asked"  #: people are asked to allow it; what is to be done, as it is shown to them
    APPROVED = "approved"  #: a person agreed
    REJECTED = "rejected"  #: a person said no
    CANCELLED = "cancelled"  #: a person stopped it before it acted
    INTENT = "intent"  #: about to carry out a step
    STEP_DONE = "step_done"  #: the step was carried out
    STEP_FAILED = "step_failed"  #: it was refused, or certainly not done
    STEP_UNKNOWN = "step_unknown"  #: nobody knows whether it was done
    INTERRUPTED = "interrupted"  #: the process that was acting is gone
    LATE_EFFECT = "late_effect"  #: what a process did after another had taken its run over
    VERIFYING = "verifying"  #: the steps are done; asking whether they helped
    FINISHED = "finished"  #: the run's outcome
    PAUSED = "paused"  #: from now on no action starts anywhere
    RESUMED = "resumed"  #: actions start again, and the breaker has forgotten all failures
    BREAKER_OPENED = "breaker_opened"  #: too many runs did not help: no action starts for a while
    BREAKER_CLOSED = "breaker_closed"  #: actions start again
    TRIGGERED = "triggered"  #: a person made an alert up, which is answered like any other
    DEPLOYED = "deployed"  #: a deployment marker came, or a version was rolled back
    WATCHDOG_SILENT = "watchdog_silent"  #: the alert that always fires has not come: nothing may arrive any more
    WATCHDOG_BACK = "watchdog_back"  #: it comes again
    PRUNED = "pruned"  #: the rows up to this hash were removed, as they were older than store.retention


class Broken(AmendError):
    """The log is not what was written: where, and how that shows."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row. `data` is what happened, in JSON; `hash` seals it together with the row before."""

    seq: int
    at: datetime
    kind: Kind | str
    actor: str
    data: Mapping[str, Any] = field(default_factory=dict)
    episode_id: int | None = None
    run_id: int | None = None
    keyed: bool = False
    prev: str = GENESIS
    hash: str = ""

    def body(self) -> bytes:
        """The bytes that are sealed: canonical JSON of all but the hash itself."""
        return json.dumps(
            [
                self.seq,
                self.at.isoformat(),
                str(self.kind),
                self.actor,
                self.episode_id,
                self.run_id,
                self.keyed,
                self.prev,
                self.data,
            ],
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=True,
        ).encode()

    def as_json(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "at": self.at.isoformat(),
            "kind": str(self.kind),
            "actor": self.actor,
            "episode": self.episode_id,
            "run": self.run_id,
            "data": dict(self.data),
            "keyed": self.keyed,
            "prev": self.prev,
            "hash": self.hash,
        }


def from_json(row: Mapping[str, Any]) -> Entry:
    """An exported row back as an Entry; Broken when it is not as an export writes it."""
    try:
        entry = Entry(
            seq=int(row["seq"]),
            at=datetime.fromisoformat(row["at"]),
            kind=row["kind"],
            actor=row["actor"],
            episode_id=row["episode"],
            run_id=row["run"],
            data=dict(row["data"]),
            keyed=bool(row["keyed"]),
            prev=row["prev"],
            hash=row["hash"],
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise Broken(f"not a row of an audit log: {error!r}") from error
    if entry.as_json() != row:
        raise Broken(f"row {entry.seq} is not written as an export writes it: it was changed")
    return entry


def seal(entry: Entry, key: bytes | None) -> str:
    """The entry's hash: SHA-256, or HMAC-SHA256 where a key is configured (64 hex digits)."""
    if key is not None:
        return hmac.new(key, entry.body(), hashlib.sha256).hexdigest()
    return hashlib.sha256(entry.body()).hexdigest()


@dataclass(frozen=True)
class Verdict:
    """What a whole log was found to be."""

    entries: int
    head: str  #: the last hash: compare it with one kept elsewhere to see a cut-off tail
    keyed: int  #: entries sealed with a key
    pruned: int = 0  #: the last row that retention removed; 0 when the log is there from its beginning

    def __str__(self) -> str:
        strength = (
            "sealed with a key"
            if self.keyed == self.entries
            else "without a key: shows accidents and clumsy edits, not an attacker who rewrites it all"
        )
        after = f" after row {self.pruned}, up to which they were removed by age" if self.pruned else ""
        return f"chain verified: {self.entries} entries{after}, head {self.head[:16]} ({strength})"


def verify(entries: Iterable[Entry], key: bytes | None) -> Verdict:
    """Check every hash and every link; Broken names the first row that is wrong.

    A log may begin after its row 1 where a later row tells that those before were removed, and the last one's hash.
    """
    count, keyed, head = 0, 0, GENESIS
    expected = None
    begins: tuple[int, str] | None = None  #: the row before the first, and its hash
    missing: tuple[int, str] | None = None  #: the same, until a row is found that tells of it
    for entry in entries:
        if expected is not None and entry.seq != expected:
            raise Broken(f"row {entry.seq} follows row {expected - 1}: {_gap(entry.seq, expected)}")
        if entry.prev != head and count:
            raise Broken(f"row {entry.seq} is not chained to row {entry.seq - 1}: a row was changed or exchanged")
        if not count and entry.seq == 1 and entry.prev != GENESIS:
            raise Broken("row 1 is chained to something before it: it was changed")
        if not count and entry.seq > 1:
            begins = missing = (entry.seq - 1, entry.prev)
        if entry.keyed and key is None:
            raise Broken(f"row {entry.seq} is sealed with a key; give it with --hmac-key-file")
        if keyed and not entry.keyed:
            raise Broken(f"row {entry.seq} is sealed without a key, after rows that were sealed with one")
        if seal(entry, key if entry.keyed else None) != entry.hash:
            raise Broken(f"row {entry.seq} does not fit its hash: its content was changed")
        if entry.kind == Kind.PRUNED and missing == (entry.data.get("through"), entry.data.get("hash")):
            missing = None
        count, keyed, head, expected = count + 1, keyed + entry.keyed, entry.hash, entry.seq + 1
    if missing:
        raise Broken(f"the log starts with row {missing[0] + 1}: the rows before it are missing, and no row says why")
    if key is not None and count and not keyed:
        raise Broken("no row is sealed with the key: the log was rewritten, or its receiver never had the key")
    return Verdict(count, head, keyed, pruned=begins[0] if begins else 0)


def _gap(found: int, expected: int) -> str:
    return "rows are missing between them" if found > expected else "rows are out of order"


def read_export(lines: Iterable[str]) -> Iterator[Entry]:
    """The rows of an export (JSON lines); Broken names the first line that is none."""
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Broken(f"line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise Broken(f"line {number} is not a row of an audit log")
        yield from_json(row)
