"""E-mail over SMTP: one connection for each, encrypted unless the server is this machine."""

from __future__ import annotations

import re
import smtplib
import ssl
from dataclasses import dataclass, field
from email.errors import HeaderParseError, MessageError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from urllib.parse import unquote, urlsplit

from salerno.kernel.errors import Invalid, Refused, Unavailable
from salerno.kernel.time import Clock

_PORTS = {"smtps": 465, "smtp+starttls": 587, "smtp": 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpServer:
    """Where e-mails are handed over.

    Args:
        scheme: ``smtps`` (TLS from the start), ``smtp+starttls`` (TLS before a word), ``smtp`` (none).
        host, port: Address.
        user, password: For log-in; empty for none.
    """

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)


def parse_smtp_url(url: str) -> SmtpServer:
    """Read the address of a mail server, e.g. ``smtp+starttls://user:password@mail.example``.

    Raises:
        Invalid: It is no such address, or would send over a network without encryption.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in _PORTS or not parts.hostname or port == -1 or parts.path.strip("/"):
        raise Invalid(
            "smtp-url",
            "The address of the mail server has not the right shape",
            remedy="Write smtps://user:password@host, smtp+starttls://user:password@host, smtp://127.0.0.1.",
        )
    server = SmtpServer(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )
    local = server.host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", server.host)
    if server.scheme == "smtp" and not local:
        raise Invalid(
            "smtp-url",
            "Mail would go over the network without encryption",
            remedy="Use smtps or smtp+starttls; plain smtp is for a server on this machine.",
        )
    return server


def check_sender(sender: str) -> None:
    """The address that e-mails come from is one, alone or behind a name: ``Desk <desk@hdab.example>``.

    Raises:
        Invalid: It is not.
    """
    address = parseaddr(sender)[1]
    if not re.fullmatch(r"[^\s@<>]+@[^\s@<>]+", address) or "\n" in sender or "\r" in sender:
        raise Invalid("mail-from", "The sender of e-mails has no address",
                      remedy="Write it as desk@hdab.example or Desk <desk@hdab.example>.")  # fmt: skip


class SmtpMailer:
    """Sends e-mails through one server.

    Errors name the server and its answer's number, never the reader's address, nor the server's own words,
    which repeat it.

    Args:
        server: Where to.
        sender: Address that they come from.
        clock: Dates them.
        timeout_seconds: Longest wait for the server's next word.
        trust: Certificates to trust; the machine's by default.
    """

    def __init__(
        self,
        server: SmtpServer,
        sender: str,
        clock: Clock,
        *,
        timeout_seconds: float = 20,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        check_sender(sender)
        self._server = server
        self._sender = sender
        self._clock = clock
        self._timeout = timeout_seconds
        self._trust = trust

    def send(self, *, to: str, subject: str, text: str, language: str, id: str) -> None:
        """Hand one e-mail over to the server.

        Args:
            to: One address.
            subject: One line.
            text: Plain text.
            language: Of the text, BCP 47.
            id: Its name; sent twice under the same one, it is the same e-mail.

        Raises:
            Unavailable: The server cannot be reached, does not let us in, or does not take it now.
            Refused: It will never take it: the address does not exist, or is none.
        """
        try:
            message = self._message(to, subject, text, language, id)
        except (MessageError, HeaderParseError, ValueError, IndexError):
            raise Refused("mail-malformed", "The e-mail cannot be written as one") from None
        self._hand_over(message)

    def _message(self, to: str, subject: str, text: str, language: str, id: str) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = to
        message["Subject"] = subject
        message["Date"] = format_datetime(self._clock.now())
        message["Message-ID"] = f"<{id}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
        message.set_content(text, cte="quoted-printable")
        message["Content-Language"] = language  # setting the content drops such headers
        return message

    def _hand_over(self, message: EmailMessage) -> None:
        where = f"The mail server {self._server.host}:{self._server.port}"
        try:
            with self._connect() as connection:
                connection.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise _answered(where, max(codes, default=0)) from None
        except smtplib.SMTPAuthenticationError as error:
            raise Unavailable("mail-log-in", f"{where} does not let us in ({error.smtp_code})",
                              remedy="Check user and password in smtp_url.") from None  # fmt: skip
        except smtplib.SMTPResponseException as error:
            raise _answered(where, error.smtp_code) from None
        except smtplib.SMTPNotSupportedError:
            raise Unavailable("mail-server", f"{where} cannot do what smtp_url asks for",
                              remedy="Check encryption and log-in in smtp_url.") from None  # fmt: skip
        except ssl.SSLError:
            raise Unavailable("mail-certificate", f"{where} has no certificate that we trust") from None
        except (smtplib.SMTPException, OSError):
            raise Unavailable("mail-server", f"{where} cannot be reached") from None

    def _connect(self) -> smtplib.SMTP:
        server = self._server
        context = self._trust or ssl.create_default_context()
        if server.scheme == "smtps":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=self._timeout, context=context
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=self._timeout)
        try:
            if server.scheme == "smtp+starttls":
                connection.starttls(context=context)
            if server.user:
                connection.login(server.user, server.password)
        except BaseException:
            connection.close()
            raise
        return connection


def _answered(where: str, code: int) -> Unavailable | Refused:
    if 500 <= code < 600:
        return Refused("mail-refused", f"{where} refuses the e-mail for good ({code})")
    return Unavailable("mail-server", f"{where} does not take the e-mail now ({code})")
