"""E-mails handed over to a real server: in the clear on this machine, else encrypted, with a log-in."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from salerno.adapters.clock import FixedClock
from salerno.adapters.mail import SmtpMailer, check_sender, parse_smtp_url
from salerno.kernel.errors import Invalid, Refused, SalernoError, Unavailable
from tests.contract.mail_server import Postbox, certificate, mail_server

CLOCK = FixedClock(datetime(2031, 3, 1, 12, tzinfo=UTC))
READER = "marie@uni.example"


def mailer(url: str, **options: Any) -> SmtpMailer:
    return SmtpMailer(parse_smtp_url(url), "Desk <desk@hdab.example>", CLOCK, timeout_seconds=3, **options)


def send(sender: SmtpMailer, to: str = READER, subject: str = "Über Antrag 7") -> None:
    text = "Über den Antrag 7 wurde entschieden – " + "ein langer Satz " * 20 + "\n"
    sender.send(to=to, subject=subject, text=text, language="de", id="notice-7@hdab.example")


def error_of(kind: type[SalernoError], sender: SmtpMailer, **changes: str) -> str:
    with pytest.raises(kind) as caught:
        send(sender, **changes)
    told = f"{caught.value} {caught.value.__cause__} {caught.value.__suppress_context__}"
    assert READER not in told
    assert "secret" not in told
    return caught.value.code


def test_an_email_arrives_whole_and_says_what_it_is() -> None:
    box = Postbox()
    with mail_server(box) as port:
        send(mailer(f"smtp://127.0.0.1:{port}"))
    mail = box.mails[0]
    assert (mail["From"], mail["To"], mail["Subject"]) == (
        "Desk <desk@hdab.example>",
        READER,
        "Über Antrag 7",
    )
    assert mail["Message-ID"] == "<notice-7@hdab.example>"
    assert mail["Date"].datetime == CLOCK.now()
    assert (mail["Content-Language"], mail["Auto-Submitted"]) == ("de", "auto-generated")
    assert mail.get_content().startswith("Über den Antrag 7 wurde entschieden – ein langer Satz")


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_a_log_in_is_told_encrypted_and_to_the_right_server_alone(scheme: str, tmp_path: Path) -> None:
    own, trusted = certificate(tmp_path)
    box = Postbox()
    tls = {"tls": own} if scheme == "smtps" else {"starttls": own}
    with mail_server(box, password="top/secret", **tls) as port:  # type: ignore[arg-type]
        send(mailer(f"{scheme}://salerno:top%2Fsecret@localhost:{port}", trust=trusted))
        assert box.encrypted == [True]
        wrong = mailer(f"{scheme}://salerno:secret@localhost:{port}", trust=trusted)
        assert error_of(Unavailable, wrong) == "mail-log-in"
        stranger = mailer(f"{scheme}://salerno:top%2Fsecret@localhost:{port}")
        assert error_of(Unavailable, stranger) == "mail-certificate"
    assert len(box.mails) == 1


def test_a_server_without_encryption_gets_nothing() -> None:
    box = Postbox()
    with mail_server(box) as port:
        assert error_of(Unavailable, mailer(f"smtp+starttls://127.0.0.1:{port}")) == "mail-server"
    assert not box.mails


def test_later_is_told_apart_from_never() -> None:
    box = Postbox()
    box.answers = {READER: "451 try later", "nobody@uni.example": "550 no such user"}
    with mail_server(box) as port:
        sender = mailer(f"smtp://127.0.0.1:{port}")
        assert error_of(Unavailable, sender) == "mail-server"
        assert error_of(Refused, sender, to="nobody@uni.example") == "mail-refused"
        assert error_of(Refused, sender, subject="two\nlines") == "mail-malformed"
    assert not box.mails
    assert error_of(Unavailable, sender) == "mail-server"


def test_a_silent_server_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
        sender = SmtpMailer(parse_smtp_url(url), "desk@hdab.example", CLOCK, timeout_seconds=0.2)
        assert error_of(Unavailable, sender) == "mail-server"


@pytest.mark.parametrize(
    "url",
    ["mail.example", "http://mail.example", "smtp://", "smtps://mail.example:x", "smtps://mail.example/x",
     "smtp://mail.example"],
)  # fmt: skip
def test_addresses_of_servers_are_checked(url: str) -> None:
    with pytest.raises(Invalid, match="smtp-url"):
        parse_smtp_url(url)


def test_senders_are_checked() -> None:
    assert parse_smtp_url("smtps://mail.example").port == 465
    assert "secret" not in repr(parse_smtp_url("smtps://a:secret@mail.example"))
    for sender in ("", "Desk", "desk@hdab.example\nBcc: x@example.eu"):
        with pytest.raises(Invalid, match="mail-from"):
            check_sender(sender)
