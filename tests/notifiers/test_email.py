"""Mail over SMTP, against a server on the loopback: encrypted, to everybody, and with honest errors."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import AmendError, Permanent, Temporary, Uncertain
from receiver.notifiers import email
from receiver.notifiers.email import mail
from receiver.settings.receivers import Email
from tests.bed.mail_server import MailServer, certificate
from tests.bed.processes import free_port
from tests.notifiers.notices import ASKED, HOSTILE, SPARE, TOLD
from tests.notifiers.test_notifiers import send


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _is_soon_out_of_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email, "WITHIN", 3.0)
    monkeypatch.setattr(email, "PATIENCE", 1.0)


def plainly(server: MailServer, **more: Any) -> dict[str, Any]:
    about = {"host": server.address, "from": "amend@example.com", "to": ["shop@example.com"], "starttls": False}
    return {"email": {**about, **more}}


def test_a_mail_tells_everybody_what_happened(server: MailServer) -> None:
    assert send(TOLD, **plainly(server, to=["shop@example.com", "ops@example.com"])) == {"email": {"to": 2}}
    (letter,) = server.letters
    assert [line.partition(" size")[0] for line in letter.to] == [
        "rcpt TO:<shop@example.com>",
        "rcpt TO:<ops@example.com>",
    ]
    assert letter.read["Subject"] == TOLD.title
    assert letter.read["From"] == "amend@example.com"
    assert letter.read["Auto-Submitted"] == "auto-generated"
    text = letter.read.get_content()
    assert text.startswith(TOLD.message)
    assert "- restart: done (before: 1, after: 1)" in text
    assert "z_score: 38.4" in text
    assert text.rstrip().endswith(TOLD.link)


def test_a_mail_asks_what_is_asked(server: MailServer) -> None:
    send(ASKED, **plainly(server))
    text = server.letters[0].read.get_content()
    assert "- restart (grace: 10s)" in text
    assert "Answer until 2026-03-02 10:10:00 UTC." in text
    assert text.rstrip().endswith(ASKED.link)


def test_nothing_that_a_stranger_writes_becomes_a_header(server: MailServer) -> None:
    send(replace(SPARE, title=HOSTILE, message=HOSTILE), **plainly(server))
    letter = server.letters[0].read
    assert letter["Bcc"] is None
    assert "Bcc: x@y.z" in letter["Subject"], "on the one line of the subject"
    assert len(server.letters[0].to) == 1


@given(st.text(max_size=300))
def test_any_title_makes_a_letter_with_the_same_headers(title: str) -> None:
    configured = Email.model_validate({"host": "a:25", "from": "a@b", "to": ["c@d"]})
    head, _, _ = mail(replace(SPARE, title=title, message="x"), configured).as_bytes().partition(b"\r\n\r\n")
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if not line.startswith(b" ")]
    assert names == [
        *(b"Subject", b"From", b"To", b"Date", b"Message-ID", b"Auto-Submitted"),
        *(b"Content-Type", b"Content-Transfer-Encoding", b"MIME-Version"),
    ]


def test_over_starttls_it_logs_in_and_trusts_the_given_authority(tmp_path: Path) -> None:
    own = certificate(tmp_path)
    with MailServer(own) as server:
        login = {"username": "amend", "password": "s3cret", "starttls": True}
        send(TOLD, **plainly(server, **login, ca=own.read_text().partition("-----BEGIN PRIVATE")[0]))
        (letter,) = server.letters
        assert (letter.encrypted, letter.login) == (True, "amend:s3cret")
        with pytest.raises(Permanent, match="cannot be trusted"):
            send(TOLD, **plainly(server, **login))
        assert len(server.letters) == 1


def test_what_is_to_be_encrypted_is_never_sent_in_the_clear(server: MailServer) -> None:
    with pytest.raises(Permanent, match="offers no STARTTLS"):
        send(TOLD, **plainly(server, starttls=True))
    assert server.letters == []


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "END"])
@pytest.mark.parametrize(("code", "kind"), [(451, Temporary), (550, Permanent)])
def test_a_refusal_is_tried_again_when_it_is_one_for_now(
    server: MailServer, command: str, code: int, kind: type[AmendError]
) -> None:
    server.answers[command] = f"{code} no such thing"
    with pytest.raises(kind, match=f"answered {code}: no such thing"):
        send(TOLD, **plainly(server))


def test_a_refused_password_is_not_told(tmp_path: Path) -> None:
    own = certificate(tmp_path)
    with MailServer(own) as server:
        server.answers["AUTH"] = "535 bad password s3cret"
        ca = own.read_text().partition("-----BEGIN PRIVATE")[0]
        with pytest.raises(Permanent, match="refused the user or the password") as told:
            send(TOLD, **plainly(server, username="amend", password="s3cret", starttls=True, ca=ca))
        assert "s3cret" not in str(told.value)


def test_some_who_are_refused_do_not_keep_the_others_from_it(server: MailServer) -> None:
    server.refused = "ops@example.com"
    told = send(TOLD, **plainly(server, to=["shop@example.com", "ops@example.com"]))
    assert told == {"email": {"to": 1, "refused": ["ops@example.com"]}}


def test_a_server_that_is_not_there_is_worth_another_try() -> None:
    with pytest.raises(Temporary, match="cannot reach"):
        send(TOLD, email={"host": f"127.0.0.1:{free_port()}", "from": "a@b.c", "to": ["d@e.f"], "starttls": False})


@pytest.mark.parametrize("command", ["EHLO", "AUTH", "STARTTLS"])
def test_one_that_goes_silent_before_it_has_the_mail_is_worth_another_try(tmp_path: Path, command: str) -> None:
    own = certificate(tmp_path)
    with MailServer(own) as server:
        server.stalls.add(command)
        ca = own.read_text().partition("-----BEGIN PRIVATE")[0]
        with pytest.raises(Temporary, match=r"does not answer|hung up"):
            send(TOLD, **plainly(server, username="amend", password="s3cret", starttls=True, ca=ca))


@pytest.mark.parametrize("command", ["DATA", "END"])
def test_one_that_hangs_is_given_up_on(server: MailServer, command: str) -> None:
    server.stalls.add(command)
    began = time.monotonic()
    with pytest.raises(Uncertain):
        send(TOLD, **plainly(server))
    assert time.monotonic() - began < 20


def test_a_server_that_may_take_its_time_does_not_get_all_of_it(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(email, "WITHIN", 1.0)
    monkeypatch.setattr(email, "PATIENCE", 60.0)
    server.stalls.add("MAIL")
    before = threading.active_count()
    with pytest.raises(Uncertain, match="did not take it within 1s"):
        send(TOLD, **plainly(server))
    assert threading.active_count() <= before + 2


def test_one_that_hangs_up_may_have_taken_it(server: MailServer) -> None:
    server.hangs_up.add("DATA")
    with pytest.raises(Uncertain, match="hung up"):
        send(TOLD, **plainly(server))


def test_a_link_local_server_is_not_spoken_to() -> None:
    with pytest.raises(Permanent, match="link-local"):
        send(TOLD, email={"host": "169.254.169.254:25", "from": "a@b.c", "to": ["d@e.f"], "starttls": False})
