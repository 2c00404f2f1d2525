"""Mail, over SMTP: plain text to a list of people, encrypted unless amend.yml says otherwise.

smtplib only knows how to wait, so it waits in a thread that nobody waits for beyond a bound.
"""

import smtplib
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from functools import partial
from typing import Any

from receiver.errors import Permanent, Temporary, Uncertain
from receiver.notifiers.notice import Notice
from receiver.notifiers.plain import plain_text, plain_title
from receiver.outbound import Outbound, brief, refuse_link_local
from receiver.settings import receivers
from receiver.targets.threads import Threads

WITHIN = 20.0  #: seconds for all of it
PATIENCE = 10.0  #: seconds for one answer of the server
TLS_FROM_THE_START = 465  #: the port on which nothing is said in the clear (RFC 8314)


class Email:
    def __init__(self, configured: receivers.Email) -> None:
        self._configured = configured
        self._host, self._port = configured.address
        self._threads = Threads("email", limit=4)

    async def send(self, notice: Notice, outbound: Outbound) -> Mapping[str, Any]:  # noqa: ARG002 - it is no HTTP
        await refuse_link_local(self._host, self._port)
        call = partial(self._deliver, mail(notice, self._configured))
        try:
            refused = await self._threads.call(call, within=WITHIN)
        except TimeoutError:
            raise Uncertain(f"the mail server {self._host} did not take it within {WITHIN:g}s") from None
        to = len(self._configured.to) - len(refused)
        return {"to": to, **({"refused": refused} if refused else {})}

    def _deliver(self, letter: EmailMessage) -> list[str]:
        """To whom it was not taken; an error when it was taken to nobody."""
        with _told(self._host, lost=Temporary), self._connected() as server:
            if self._configured.username and self._configured.password:
                server.login(self._configured.username, self._configured.password.get_secret_value())
            server.ehlo_or_helo_if_needed()
            with _told(self._host, lost=Uncertain):
                return sorted(server.send_message(letter))

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context(cadata=self._configured.ca)
        if self._port == TLS_FROM_THE_START:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=PATIENCE, context=context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=PATIENCE)
        try:
            if self._configured.starttls and self._port != TLS_FROM_THE_START:
                server.starttls(context=context)
            yield server
        finally:
            server.close()  # without QUIT: the mail was taken, or was not


def mail(notice: Notice, configured: receivers.Email) -> EmailMessage:
    """The letter. Its subject is one line whatever the alert says, and no header is made of anything else."""
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = plain_title(notice)
    letter["From"] = configured.from_
    letter["To"] = ", ".join(configured.to)
    letter["Date"] = formatdate()
    letter["Message-ID"] = make_msgid(domain=configured.from_.rpartition("@")[2].strip("> "))
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence notice answers it
    letter.set_content(plain_text(notice))
    return letter


@contextmanager
def _told(host: str, *, lost: type[Temporary] | type[Uncertain]) -> Iterator[None]:
    """What goes wrong on the way, as an action's errors, `lost` where nobody answers; no more than a line is quoted."""
    who = f"the mail server {host}"
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        raise _refusal(who, code, said) from None
    except smtplib.SMTPAuthenticationError as error:
        # the answer may quote what was sent
        kind = Temporary if 400 <= error.smtp_code < 500 else Permanent
        raise kind(f"{who} refused the user or the password ({error.smtp_code})") from None
    except smtplib.SMTPConnectError as error:
        raise _refusal(who, error.smtp_code, error.smtp_error) from None
    except smtplib.SMTPResponseException as error:
        raise _refusal(who, error.smtp_code, error.smtp_error) from None
    except smtplib.SMTPNotSupportedError:
        raise Permanent(f"{who} offers no STARTTLS, or no login; mend it there, or see starttls in amend.yml") from None
    except smtplib.SMTPServerDisconnected:
        raise lost(f"{who} hung up before it had answered") from None
    except ssl.SSLCertVerificationError as error:
        raise Permanent(f"the certificate of {host} cannot be trusted: {error.verify_message}") from None
    except (ConnectionRefusedError, ssl.SSLError) as error:
        raise Temporary(f"cannot reach {who}: {error.strerror or type(error).__name__}") from None
    except OSError as error:
        raise lost(f"{who} does not answer: {error.strerror or type(error).__name__}") from None


def _refusal(who: str, code: int, said: bytes | str) -> Temporary | Permanent:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    kind = Temporary if 400 <= code < 500 or code <= 0 else Permanent
    return kind(f"{who} answered {code}: {brief(text)}")
