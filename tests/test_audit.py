"""The chain, torn, changed, shortened and reordered: the verifier names the place, and takes nothing for whole."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.audit import GENESIS, Broken, Entry, Kind, from_json, read_export, seal, verify

KEY = b"a key"


def chain(length: int, *, key: bytes | None = None, keyed_from: int = 1) -> list[Entry]:
    """A good log, its rows sealed with the key from one row on."""
    entries: list[Entry] = []
    for seq in range(1, length + 1):
        with_key = key if seq >= keyed_from else None
        entry = Entry(
            seq=seq,
            at=datetime(2026, 3, 2, tzinfo=UTC) + timedelta(seconds=seq),
            kind=Kind.SKIPPED,
            actor="amend/a",
            data={"reason": "cooldown", "number": seq, "text": "ü\n\u202e", "nested": {"b": [1.5, None], "a": True}},
            run_id=seq,
            keyed=with_key is not None,
            prev=entries[-1].hash if entries else GENESIS,
        )
        entries.append(replace(entry, hash=seal(entry, with_key)))
    return entries


def resealed(entries: Sequence[Entry], key: bytes | None = None) -> list[Entry]:
    """What somebody writes who changes rows and computes every hash anew."""
    result: list[Entry] = []
    for entry in entries:
        changed = replace(entry, prev=result[-1].hash if result else entry.prev, keyed=key is not None, hash="")
        result.append(replace(changed, hash=seal(changed, key)))
    return result


def broken(entries: Sequence[Entry], key: bytes | None = None) -> str:
    with pytest.raises(Broken) as raised:
        verify(entries, key)
    return str(raised.value)


def exported(entries: Sequence[Entry]) -> str:
    return "".join(f"{json.dumps(entry.as_json())}\n" for entry in entries)


# ── a good log ──


@pytest.mark.parametrize("key", [None, KEY])
def test_a_good_log_verifies_and_says_how_much_that_is_worth(key: bytes | None) -> None:
    entries = chain(5, key=key)
    verdict = verify(entries, key)
    assert (verdict.entries, verdict.head, verdict.keyed) == (5, entries[-1].hash, 5 if key else 0)
    assert ("sealed with a key" in str(verdict)) == (key is not None)
    assert ("not an attacker who rewrites it all" in str(verdict)) == (key is None)


def test_a_log_may_get_its_key_later() -> None:
    verdict = verify(chain(5, key=KEY, keyed_from=3), KEY)
    assert verdict.keyed == 3


@pytest.mark.parametrize("key", [None, KEY])
def test_an_export_reads_back_as_the_same_log(key: bytes | None) -> None:
    entries = chain(3, key=key)
    assert list(read_export(exported(entries).splitlines())) == entries
    assert verify(read_export(exported(entries).splitlines()), key).entries == 3


def test_the_order_of_keys_and_the_way_of_writing_text_do_not_matter_to_the_seal() -> None:
    (entry,) = chain(1)
    other = replace(entry, data=dict(reversed(list(entry.data.items()))))
    assert seal(other, None) == entry.hash


# ── changed ──


@pytest.mark.parametrize(
    "change",
    [
        {"data": {}},
        {"actor": "somebody else"},
        {"kind": "step_done"},
        {"run_id": 9},
        {"episode_id": 9},
        {"at": datetime(2027, 1, 1, tzinfo=UTC)},
        {"hash": "0" * 64},
    ],
)
@pytest.mark.parametrize("row", [1, 3, 5])
def test_a_changed_row_is_named(row: int, change: dict[str, object]) -> None:
    entries = chain(5)
    entries[row - 1] = replace(entries[row - 1], **change)  # type: ignore[arg-type]
    assert broken(entries) == f"row {row} does not fit its hash: its content was changed"


def test_a_changed_row_with_a_new_hash_breaks_the_link_after_it() -> None:
    entries = chain(5)
    changed = replace(entries[2], data={"reason": "locked"})
    entries[2] = replace(changed, hash=seal(changed, None))
    assert broken(entries) == "row 4 is not chained to row 3: a row was changed or exchanged"


def test_a_deleted_row_is_named() -> None:
    entries = chain(5)
    assert broken(entries[:2] + entries[3:]) == "row 4 follows row 2: rows are missing between them"


def test_a_missing_beginning_is_named() -> None:
    told = "the log starts with row 3: the rows before it are missing, and no row says why"
    assert broken(chain(5)[2:]) == told


def test_swapped_rows_are_named() -> None:
    entries = chain(5)
    entries[1], entries[2] = entries[2], entries[1]
    assert broken(entries) == "row 3 follows row 1: rows are missing between them"
    entries[1], entries[2] = replace(entries[1], seq=2), replace(entries[2], seq=3)
    assert broken(entries).startswith("row 2 ")


def test_a_row_that_stands_twice_is_named() -> None:
    entries = chain(3)
    assert broken([entries[0], entries[1], entries[1], entries[2]]) == "row 2 follows row 2: rows are out of order"


def test_a_row_put_in_front_is_seen() -> None:
    entries = chain(3)
    forged = replace(entries[0], prev="f" * 64)
    assert broken([replace(forged, hash=seal(forged, None)), *entries[1:]]) == (
        "row 1 is chained to something before it: it was changed"
    )


# ── with a key ──


def test_who_lacks_the_key_cannot_rewrite_the_log() -> None:
    entries = chain(5, key=KEY)
    assert broken(resealed(entries, b"another key"), KEY) == "row 1 does not fit its hash: its content was changed"
    assert "no row is sealed with the key" in broken(resealed(entries), KEY)
    forged = [*entries[:3], *resealed(entries[3:])]
    assert broken(forged, KEY).startswith("row 4 ")


def test_a_log_that_got_its_key_later_cannot_be_rewritten_before_that_either() -> None:
    entries = chain(5, key=KEY, keyed_from=3)
    old = resealed([replace(entries[0], data={}), entries[1]])
    assert broken([*old, *entries[2:]], KEY).startswith("row 3 is not chained to row 2")


def test_without_the_key_a_keyed_log_is_not_taken_for_verified() -> None:
    assert broken(chain(2, key=KEY)) == "row 1 is sealed with a key; give it with --hmac-key-file"


# ── torn and flipped ──


def test_an_export_cut_off_at_any_byte_is_whole_rows_or_broken_there() -> None:
    text = exported(chain(4))
    borders = {0, *(index + 1 for index, char in enumerate(text) if char == "\n")}
    for cut in range(len(text)):
        lines = text[:cut].splitlines()
        if cut in borders or cut + 1 in borders:  # whole rows, with or without the last line feed
            assert verify(read_export(lines), None).entries == len(lines)
            continue
        with pytest.raises(Broken, match=f"line {len(lines)} "):
            verify(read_export(lines), None)


@given(st.data())
def test_an_export_with_a_flipped_character_is_never_verified(data: st.DataObject) -> None:
    text = exported(chain(3, key=KEY))
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda char: char != text[place]))
    flipped = text[:place] + other + text[place + 1 :]
    try:
        verdict = verify(read_export(io.StringIO(flipped, newline=None)), KEY)
    except Broken:
        return
    # JSON may be written in several ways: what it says must be the same to the letter
    assert [json.loads(line) for line in io.StringIO(flipped)] == [json.loads(line) for line in io.StringIO(text)]
    assert verdict.entries == 3


@pytest.mark.parametrize(
    "line",
    [
        "",
        "null",
        "3",
        "[]",
        "{}",
        '{"seq": 1}',
        "[" * 100_000,
        json.dumps(chain(1)[0].as_json() | {"seq": "one"}),
        json.dumps(chain(1)[0].as_json() | {"seq": float("inf")}),
        json.dumps(chain(1)[0].as_json() | {"seq": 1.5}),
        json.dumps(chain(1)[0].as_json() | {"at": "yesterday"}),
        json.dumps(chain(1)[0].as_json() | {"hash": None}),
        json.dumps(chain(1)[0].as_json() | {"hash": "\ud800ü"}),
        json.dumps(chain(1)[0].as_json() | {"data": 3}),
        json.dumps(chain(1)[0].as_json() | {"more": 3}),
        json.dumps(chain(1)[0].as_json() | {"keyed": "no"}),
    ],
)
def test_what_is_no_row_is_broken_not_a_crash(line: str) -> None:
    with pytest.raises(Broken):
        verify(read_export([line]), None)


def test_an_entry_that_no_one_exported_is_refused() -> None:
    row = chain(1)[0].as_json()
    with pytest.raises(Broken, match="row 1 is not written as an export writes it"):
        from_json(row | {"at": "2026-03-02T00:00:01Z"})
