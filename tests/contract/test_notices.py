"""What persons are told, on every database: kept with the act, read by them alone, sent by e-mail."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from argon2 import PasswordHasher

from salerno.adapters import jobs
from salerno.adapters.clock import FixedClock
from salerno.adapters.database import Database
from salerno.adapters.keys import KeyRing
from salerno.adapters.mail import SmtpMailer, parse_smtp_url
from salerno.audit import store as audit_store
from salerno.audit.service import AuditLog
from salerno.identity import store
from salerno.identity.model import PersonRole
from salerno.identity.service import MAIL_JOB, Accounts, Argon2Passwords, Notices, send_mail
from salerno.kernel.errors import Invalid, NotFound
from salerno.permits.model import Outcome
from salerno.permits.model.clock import ClockState
from salerno.permits.rules.clocks import reminders_between, running
from salerno.permits.rules.notices import NOTICES, OFFICERS_TOLD, TOLD_TO_ALL, reminder_telling
from salerno.permits.store import TransactionJobs
from tests.contract.mail_server import Postbox, free_port, mail_server
from tests.spec.permits.test_deadlines import events

OWN = "did:web:hdab.example"
MARIE, OTTO, ANNA = (f"{OWN}#{login}" for login in ("marie", "otto", "anna"))
KEYS = KeyRing.generate()
QUICK = Argon2Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
DECIDED = {"reference": "FR-7", "country": "FR"}


class Desk:
    """An access body with two officers and an applicant; Marie reads French and has an e-mail address."""

    def __init__(self, database: Database, *, mails: bool = True) -> None:
        self.database = database
        self.clock = FixedClock(datetime(2031, 3, 1, 12, tzinfo=UTC))
        with database.transaction() as connection:
            for metadata in (audit_store.metadata, store.metadata, jobs.metadata):
                metadata.create_all(connection)
        self.accounts = database.opens(
            lambda c: Accounts(
                store.SqlAccountStore(c), AuditLog(audit_store.SqlAuditStore(c), self.clock, KEYS, "x"),
                self.clock, OWN, QUICK,
            )
        )  # fmt: skip
        self.notices = database.opens(
            lambda c: Notices(
                store.SqlNoticeStore(c), TransactionJobs(c, self.clock) if mails else None, self.clock,
                NOTICES, url="https://hdab.example", node="Desk of France",
            )
        )  # fmt: skip
        with self.accounts() as accounts:
            password = "correct horse battery"
            accounts.create("marie", "Marie Curie", password, [PersonRole.RESEARCHER],
                            email="marie@uni.example", language="fr")  # fmt: skip
            accounts.create("otto", "Otto", password, [PersonRole.OFFICER], language="de")
            accounts.create("anna", "Anna", password, [PersonRole.OFFICER])

    def tell(self, account: str = MARIE, kind: str = "decided-full", key: str = "", **values: Any) -> bool:
        with self.notices() as notices:
            return notices.tell(account, kind, values or DECIDED, path="/applications/7", key=key)

    def inbox(self, account: str = MARIE, **options: Any) -> list[tuple[str, str, bool]]:
        with self.notices() as notices:
            found = notices.inbox(account, **options)
        return [(words.subject, words.text, notice.read_at is None) for notice, words in found]

    def work(self, port: int) -> int:
        """Send what is due to a mail server on a port; answers how many jobs were done."""
        mailer = SmtpMailer(
            parse_smtp_url(f"smtp://127.0.0.1:{port}"), "desk@hdab.example", self.clock, timeout_seconds=2
        )
        handler = partial(send_mail, self.notices, mailer)
        return jobs.Worker(self.database, {MAIL_JOB: handler}, self.clock).run_due()


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_a_person_reads_what_happened_in_the_own_language(desk: Desk) -> None:
    assert desk.tell()
    assert desk.inbox() == [
        (
            "La demande FR-7 a été acceptée",
            "L'organisme responsable de l'accès aux données de santé (France) a accepté la demande FR-7.",
            True,
        )
    ]
    with desk.accounts() as accounts:
        accounts.set_contact(MARIE, language="de")
    assert desk.inbox()[0][0] == "Antrag FR-7 wurde genehmigt"


def test_nothing_is_told_when_the_act_fails(desk: Desk) -> None:
    with suppress(NotFound), desk.notices() as notices:
        notices.tell(MARIE, "decided-full", DECIDED, path="/x")
        raise NotFound("x", "the act fails")
    assert desk.inbox() == []
    assert desk.work(1) == 0


def test_the_same_thing_is_told_once(desk: Desk) -> None:
    assert [desk.tell(key="case-7/decided"), desk.tell(key="case-7/decided")] == [True, False]
    assert desk.tell(OTTO, key="case-7/decided")
    assert [desk.tell(), desk.tell()] == [True, True]
    assert not desk.tell("did:web:hub.example#marie")
    with desk.notices() as notices:
        arrived = {"reference": "FR-7"}
        told = partial(
            notices.tell_role, PersonRole.OFFICER, "case-arrived", arrived, path="/cases/7", key="7"
        )
        assert [told(), told()] == [2, 0]


def test_each_reads_the_own_notices_alone(desk: Desk) -> None:
    for n in range(3):
        desk.tell(reference=f"FR-{n}", country="FR")
        desk.clock.advance(seconds=1)
    with desk.notices() as notices:
        newest = notices.inbox(MARIE, limit=1)[0][0]
        assert notices.unread(MARIE) == 3
        assert notices.read(OTTO, [newest.id]) == 0
        assert [notices.read(MARIE, [newest.id]), notices.read(MARIE, [newest.id])] == [1, 0]
        assert newest.values["reference"] == "FR-2"
    assert [unread for *_, unread in desk.inbox()] == [False, True, True]
    assert len(desk.inbox(unread=True)) == 2
    with desk.notices() as notices:
        assert notices.read(MARIE) == 2
        assert notices.unread(MARIE) == 0
        assert notices.inbox("did:web:x#nobody") == []


def test_values_and_kinds_are_checked_before_anything_is_kept(desk: Desk) -> None:
    with pytest.raises(ValueError, match="Did you mean 'decided-full'"):
        desk.tell(kind="decided-ful")
    with pytest.raises(ValueError, match=r"wants the values \['country', 'reference'\]"):
        desk.tell(reference="FR-7", diagnosis="x")
    assert desk.inbox() == []


def test_an_email_names_the_reference_and_no_person(desk: Desk) -> None:
    desk.tell()
    desk.tell(OTTO)  # has no address
    box = Postbox()
    with mail_server(box) as port:
        assert desk.work(port) == 1
        assert desk.work(port) == 0
    mail = box.mails[0]
    assert (mail["To"], mail["Subject"]) == ("marie@uni.example", "La demande FR-7 a été acceptée")
    assert mail["Content-Language"] == "fr"
    text = mail.get_content()
    assert "https://hdab.example/applications/7" in text
    assert "auprès de Desk of France" in text
    assert "Marie" not in text
    assert mail["Message-ID"].endswith("@hdab.example>")


def test_an_email_waits_for_its_server_for_days_and_goes_once(desk: Desk) -> None:
    desk.tell()
    port, box = free_port(), Postbox()
    for _ in range(jobs.MAX_ATTEMPTS):
        assert desk.work(port) == 1
        desk.clock.advance(seconds=31)
    assert desk.work(port) == 0  # the queue has given up
    desk.clock.advance(seconds=3600)
    for again in (1, 1):  # a duty that runs often asks once an hour
        with desk.notices() as notices:
            assert notices.mail_again() == again
    with mail_server(box, port=port):
        assert desk.work(port) == 1
    assert len(box.mails) == 1
    desk.clock.advance(days=1)
    with desk.notices() as notices:
        assert notices.mail_again() == 0


def test_what_nobody_will_ever_take_is_not_tried_again(desk: Desk) -> None:
    desk.tell()
    desk.tell(key="other")
    box = Postbox()
    box.answers["marie@uni.example"] = "550 no such user"
    with mail_server(box) as port:
        assert desk.work(port) == 2
    desk.clock.advance(days=1)
    with desk.notices() as notices:
        assert notices.mail_again() == 0
    assert len(desk.inbox()) == 2


def test_who_takes_the_address_back_gets_no_email(desk: Desk) -> None:
    desk.tell()
    with desk.accounts() as accounts:
        accounts.set_contact(MARIE, email="")
    box = Postbox()
    with mail_server(box) as port:
        assert desk.work(port) == 1
    assert not box.mails


def test_without_a_mail_server_the_portal_tells_alone(database: Database) -> None:
    desk = Desk(database, mails=False)
    assert desk.tell()
    assert desk.work(1) == 0
    with desk.notices() as notices:
        assert notices.mail_again() == 0


def test_contacts_are_checked_and_not_repeated(desk: Desk) -> None:
    with desk.accounts() as accounts:
        for wrong in ("marie", "marie@uni", "a b@uni.example", "x@uni.example\nBcc: y@uni.example"):
            with pytest.raises(Invalid) as caught:
                accounts.set_contact(MARIE, email=wrong)
            assert wrong not in str(caught.value)
        with pytest.raises(Invalid, match="no notices in 'dee'"):
            accounts.set_contact(MARIE, language="dee")
        with pytest.raises(NotFound):
            accounts.set_contact("did:web:hub.example#marie", language="de")
        assert accounts.account(MARIE).email == "marie@uni.example"


def test_clocks_remind_once_for_ever(desk: Desk) -> None:
    happened = events("2031-02-14 information-requested")
    clocks = [c for c in running(happened, "FR", desk.clock.now()) if c.state is ClockState.RUNNING]
    for _ in range(2):
        for reminder in reminders_between(clocks, datetime(2031, 2, 27).date(), datetime(2031, 3, 1).date()):
            telling = reminder_telling(reminder, "case-7", reminder.day)
            desk.tell(kind=telling.kind, key=telling.key, **telling.values)
    assert [words[:2] for words in desk.inbox()] == [
        (
            "Compléter la demande\u00a0: case-7",
            "Il reste 14 jours. Compléter la demande\u00a0: case-7, au plus tard le 14 mars 2031.",
        )
    ]
    desk.clock.advance(days=14)
    late = running(happened, "FR", desk.clock.now())
    missed = reminders_between(late, datetime(2031, 3, 14).date(), datetime(2031, 3, 15).date())
    telling = reminder_telling(missed[0], "case-7", missed[0].day)
    desk.tell(ANNA, telling.kind, key=telling.key, **telling.values)
    assert desk.inbox(ANNA)[0][1] == (
        "This was due by 14 March 2031 and is 1 day late. Complete the application: case-7."
    )


def test_every_act_tells_by_a_kind_that_is_there() -> None:
    assert set(OFFICERS_TOLD.values()) <= set(NOTICES)
    assert set(OFFICERS_TOLD) >= TOLD_TO_ALL
    assert {f"decided-{outcome}" for outcome in Outcome} <= set(NOTICES)
