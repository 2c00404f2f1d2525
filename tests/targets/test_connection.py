"""What a failed connection tells people."""

import socket
from pathlib import Path

import pytest

from receiver.targets.connection import first_cause


def test_a_socket_that_is_missing_is_told_in_words(tmp_path: Path) -> None:
    missing = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(FileNotFoundError) as raised:
        client.connect(missing)
    assert first_cause(raised.value) == "its socket is not there"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        (tmp_path / "ca.crt").read_bytes()
    assert first_cause(raised.value) == f"{tmp_path / 'ca.crt'} is not there"
