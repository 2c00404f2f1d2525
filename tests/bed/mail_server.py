"""An SMTP server that keeps every mail and answers as told, with STARTTLS and login where it has a certificate.

It speaks as much of RFC 5321 as a client needs to hand over a mail, on a free port of the loopback.
"""

import base64
import email
import socketserver
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Self


@dataclass
class Letter:
    """One mail as it was handed over."""

    sender: str = ""
    to: list[str] = field(default_factory=list)
    content: bytes = b""
    encrypted: bool = False
    login: str = ""  #: `user:password`

    @property
    def read(self) -> EmailMessage:
        return email.message_from_bytes(self.content, policy=default)


class MailServer:
    """Takes mail at `address`; a command that stands in `answers` gets that line, `END` is a mail's."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.letters: list[Letter] = []
        self.answers: dict[str, str] = {}
        self.stalls: set[str] = set()
        self.hangs_up: set[str] = set()
        self.refused = ""  #: an address that it knows nobody at
        self.released = threading.Event()
        self.context: ssl.SSLContext | None = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate)
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _talk_for(self), bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.server_bind()
        self._server.server_activate()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


def certificate(directory: Path) -> Path:
    """A key and a certificate of its own for 127.0.0.1, in one file."""
    key, made = directory / "key.pem", directory / "cert.pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    whose = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    making = ["openssl", "req", "-x509", *kind, *whose, "-keyout", str(key), "-out", str(made)]
    subprocess.run(making, check=True, capture_output=True)
    whole = directory / "whole.pem"
    whole.write_text(made.read_text() + key.read_text())
    return whole


def _talk_for(bed: MailServer) -> type[socketserver.StreamRequestHandler]:
    class Talk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.letter = Letter()
            self._say("220 ready")
            try:
                while line := self.rfile.readline():
                    if not self._take(line.decode(errors="replace").strip()):
                        return
            except (OSError, ValueError):
                return  # the client is gone

        def _take(self, line: str) -> bool:
            """Answer one command; whether another may come."""
            verb = line.partition(" ")[0].upper()
            if verb in bed.stalls:
                bed.released.wait()
            if verb in bed.stalls | bed.hangs_up | {"QUIT"}:
                return False
            if verb in bed.answers:
                self._say(bed.answers[verb])
                return True
            known = {"EHLO": self._ehlo, "STARTTLS": self._starttls, "AUTH": self._auth, "DATA": self._data}
            if verb in known:
                return known[verb](line) is not False
            if verb == "MAIL":
                self.letter.sender = line
            elif verb == "RCPT" and bed.refused and bed.refused in line:
                self._say("550 nobody there")
                return True
            elif verb == "RCPT":
                self.letter.to.append(line)
            self._say("250 ok")
            return True

        def _ehlo(self, _: str) -> None:
            more = ["STARTTLS"] if bed.context and not self.letter.encrypted else []
            more += ["AUTH PLAIN"] if self.letter.encrypted else []
            *lines, last = ["here", *more]
            for text in lines:
                self._say(f"250-{text}")
            self._say(f"250 {last}")

        def _starttls(self, _: str) -> None:
            if not bed.context:
                self._say("502 not here")
                return
            self._say("220 go on")
            self.connection = bed.context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.letter = Letter(encrypted=True)

        def _auth(self, line: str) -> None:
            _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
            self.letter.login = f"{user}:{password}"
            self._say("235 welcome")

        def _data(self, _: str) -> bool:
            self._say("354 go on")
            while (part := self.rfile.readline()) not in (b".\r\n", b""):
                self.letter.content += part.removeprefix(b".") if part.startswith(b"..") else part
            if "END" in bed.stalls:
                bed.released.wait()
                return False
            bed.letters.append(self.letter)
            self._say(bed.answers.get("END", "250 taken"))
            return True

        def _say(self, text: str) -> None:
            self.connection.sendall(f"{text}\r\n".encode())

    return Talk
