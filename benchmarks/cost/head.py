"""Tracks in the head of a Prometheus that runs, by remote write: in production no block holds the last hours either.

measure.py writes with it what blocks.py left out; a sample that Prometheus refuses is an error.
"""

import struct
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import httpx

from benchmarks.cost.history import Track
from benchmarks.engine import Labels
from receiver.errors import AmendError

#: Prometheus cuts two hours off as a block when its head holds three: between one hour and three are in it.
HELD: Final = timedelta(hours=2)
#: Sent at once. The head takes nothing that is an hour older than its newest sample: all series advance together.
PORTION: Final = 300


def start(began: int) -> int:
    """Where blocks end and the head begins, in a run that began at a Unix time."""
    return began - int(HELD.total_seconds())


def write(tracks: Sequence[Track], url: str, *, start: int, end: int, now: int) -> None:
    """What is read at `now` of the time from `start` to before `end`, while nothing else is written."""
    encoded = [(track, [_labels(each) for each in track.series]) for track in tracks]
    with httpx.Client(timeout=60, trust_env=False) as client:
        for begin in range(start, end, PORTION):
            request = bytearray()
            for track, series in encoded:
                moments = track.samples(begin, min(begin + PORTION, end), now=now)
                if samples := b"".join(_sample(at, value) for at, value in moments):
                    request += b"".join(_field(1, labels + samples) for labels in series)
            if request:
                _send(client, f"{url}/api/v1/write", request)


def _send(client: httpx.Client, url: str, request: bytearray) -> None:
    answer = client.post(url, content=_snappy(request), headers={"Content-Encoding": "snappy"})
    if answer.status_code != httpx.codes.NO_CONTENT:
        raise AmendError(f"Prometheus did not take the recent past: {answer.text}")


def _labels(labels: Labels) -> bytes:
    """Field 1 of a TimeSeries of Prometheus' remote write 1.0; the receiver wants them sorted."""
    return b"".join(_field(1, _field(1, name.encode()) + _field(2, text.encode())) for name, text in sorted(labels))


def _sample(at: int, value: float) -> bytes:
    """Its field 2: a double, and milliseconds."""
    return _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(at * 1000))


def _field(number: int, content: bytes) -> bytes:
    """Of protobuf, with a length before it."""
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _snappy(content: bytearray) -> bytes:
    """In Snappy's format and as long as before: the whole is one literal, with its length in four bytes."""
    return _varint(len(content)) + b"\xfc" + struct.pack("<I", len(content) - 1) + content
