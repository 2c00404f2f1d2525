"""A secret's file gives the secret alone, or says why there is none."""

from pathlib import Path

import pytest

from receiver.secret_file import NoSecret, secret_in


def test_white_space_around_a_secret_is_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n s3cret with pässion \r\n\n")
    assert secret_in(tmp_path / "key") == "s3cret with pässion"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\xff\xfe\x00", "cannot be read: it is not text"),
    ],
)
def test_what_holds_no_secret_is_told(content: bytes | None, why: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(NoSecret) as told:
        secret_in(tmp_path / "key")
    assert str(told.value) == why
