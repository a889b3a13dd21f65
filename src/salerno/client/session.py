"""A person's session at a node: search, apply, study; decide as an officer; opt out as a citizen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from salerno.client.answer import Answer
from salerno.client.applications import Application, Case, Permit, application_of
from salerno.client.datasets import Dataset
from salerno.client.link import Link, check_url
from salerno.client.plan import PlannedQuestion, StudyPlan, parse_plan, plan_of
from salerno.client.runs import StudyRun, carry_out, run_at
from salerno.client.studies import (
    PendingQuestion,
    Study,
    permit_ids_of,
    question_of,
    rehearsed,
    study_of,
)
from salerno.client.tokens import last_url, saved_token
from salerno.kernel.errors import Invalid
from salerno.kernel.values import to_plain

if TYPE_CHECKING:
    from salerno.adapters.http import HttpClient


def connect(
    url: str = "",
    login: str | None = None,
    password: str | None = None,
    token: str | None = None,
    *,
    http: HttpClient | None = None,
) -> Session:
    """Open a session at a node.

    Without a login or a token, the environment (``SALERNO_URL``, ``SALERNO_TOKEN``) and the log-in
    that ``salerno log-in`` kept are used; without any of them the session is a visitor's.

    Args:
        url: Base address of the node, e.g. the European hub.
        login: Log-in name; the password is asked for on a terminal when it is not given.
        password: Password of the account.
        token: Session token, instead of a login.
        http: HTTP client to send with.

    Raises:
        Refused: Log-in name or password are wrong, or too many attempts were made.
        Unavailable: The node does not answer.
    """
    address = check_url(url or os.environ.get("SALERNO_URL", "") or last_url())
    if login is None:
        held = token or os.environ.get("SALERNO_TOKEN") or saved_token(address)
        return Session(Link(address, held, http))
    if password is None:
        if not sys.stdin.isatty():
            raise Invalid(
                "password-missing", f"No password was given for {login!r}", remedy="Give password=…"
            )
        password = getpass(f"Password of {login} at {address}: ")
    link = Link(address, "", http)
    link.token = str(link.post("/api/log-in", {"login": login, "password": password})["token"])
    return Session(link)


class Session:
    """What one person can do at one node; made by `connect`."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def __repr__(self) -> str:
        return f"<Session at {self.url}{'' if self.token else ', not logged in'}>"

    @property
    def url(self) -> str:
        """Base address of the node."""
        return self._link.url

    @property
    def token(self) -> str:
        """The session token; as good as the password while it lasts."""
        return self._link.token

    @property
    def me(self) -> dict[str, Any]:
        """The account behind the session: ``id``, ``login``, ``name``, ``roles``."""
        answer = self._link.get("/api/me")
        return dict(answer.get("account", answer))

    def log_out(self) -> None:
        """End the session at the node."""
        self._link.post("/api/log-out")
        self._link.token = ""

    # be told

    def notices(self, *, unread: bool = False) -> list[dict[str, Any]]:
        """What the caller was told at this node, in the caller's language, the newest first.

        Args:
            unread: Only what is not marked as read.
        """
        return list(self._link.get("/api/notices", unread="true" if unread else ""))

    def mark_read(self, *ids: str) -> int:
        """Mark notices as read, all of them without arguments; answers how many were not."""
        return int(self._link.post("/api/notices/read", {"ids": list(ids) or None})["marked"])

    def contact(self, *, email: str | None = None, language: str | None = None) -> dict[str, str]:
        """Where and in which language the caller is told of things; what is given is changed first.

        Args:
            email: Where notices go as well as into the inbox; empty for the inbox alone.
            language: ``en``, ``de`` or ``fr``.
        """
        if email is None and language is None:
            return dict(self._link.get("/api/me/contact"))
        return dict(self._link.put("/api/me/contact", {"email": email, "language": language}))

    # find

    def search(
        self, text: str = "", *, category: str = "", country: str = "", variable: str = ""
    ) -> list[Dataset]:
        """Data sets of all countries that match, best first.

        Args:
            text: Words to look for in titles, descriptions, keywords and variables; empty finds all.
            category: Code of an Art. 51 category, e.g. ``EHRS``.
            country: ISO 3166-1 code.
            variable: Name of a column that the data set must have.
        """
        hits = self._link.get("/api/datasets", q=text, category=category, country=country, variable=variable)
        return [Dataset.from_hit(hit) for hit in hits]

    def dataset(self, iri: str) -> Dataset:
        """One data set by its IRI.

        Raises:
            NotFound: The catalogue has no such data set.
        """
        return Dataset(self._link.get("/api/datasets/one", iri=iri))

    def harvest(self) -> Any:
        """Have the hub fetch the catalogues of all participants now (operators)."""
        return self._link.post("/api/harvest", timeout_seconds=300)

    # apply

    def apply(
        self,
        application: Mapping[str, Any] | Any = None,
        *,
        datasets: Sequence[Dataset | str] = (),
        submit: bool = True,
        confirm: bool = False,
        **fields: Any,
    ) -> Application:
        """File one data access application for several countries (Art. 67).

        Args:
            application: The whole application, as a mapping or a ``DataAccessApplication``.
            datasets: Data sets to ask for with all their columns, where `data` is not given.
            submit: False keeps it as a draft.
            confirm: You confirm what the form has confirmed, see `confirmations`: what the data are not used
                for, who gets access, that results are published, fees, correctness.
            **fields: Fields of the application, e.g. ``title``, ``intended_use``, ``expected_benefit``;
                they add to `application`. Who is not named gets the caller as principal investigator.

        Raises:
            Invalid: A field is missing, unknown or of the wrong type; nothing was filed.
        """
        known = [d if isinstance(d, Dataset) else self.dataset(d) for d in datasets]
        given = dict(to_plain(application) or {}) if application is not None else {}
        filled = application_of({**given, **fields}, known, lambda: self.me, confirm=confirm)
        filed = Application(self._link, self._link.post("/api/applications", to_plain(filled)))
        if submit:
            filed.submit()
        return filed

    def form(self, key: str = "application/1") -> dict[str, Any]:
        """A form by name and version: its sections and fields."""
        return dict(self._link.get(f"/api/forms/{key}"))

    def confirmations(self, key: str = "application/1") -> dict[str, str]:
        """What an applicant confirms by a form: words by field."""
        fields = [field for section in self.form(key)["sections"] for field in section["fields"]]
        return {field["id"]: field["label"] for field in fields if field["kind"] == "confirm"}

    def draft(self, answers: Mapping[str, Any], form: str = "application/1") -> Application:
        """Begin an application with answers by field of its form, e.g. out of `Application.export`."""
        body = {"form": form, "answers": to_plain(dict(answers))}
        return Application(self._link, self._link.post("/api/applications/answers", body))

    def application(self, id: str) -> Application:
        """One of the caller's applications."""
        return Application(self._link, self._link.get(f"/api/applications/{id}"))

    def applications(self, text: str = "") -> list[Application]:
        """The caller's applications, newest first.

        Args:
            text: Only those whose title, applicant or identifier contains it.
        """
        return [Application(self._link, line) for line in self._lines("/api/applications", text=text)]

    def amend(self, *permits: str | Permit) -> Application:
        """Begin to ask for other permits in the place of some of one application."""
        return self._change(permits, "amendment")

    def renew(self, *permits: str | Permit) -> Application:
        """Begin to ask for the one extension that the law allows, a month before the end (Art. 68(12))."""
        return self._change(permits, "renewal")

    def permits(self) -> list[Permit]:
        """The caller's data permits."""
        return [Permit(permit) for permit in self._link.get("/api/permits")]

    # study

    def study(
        self,
        title: str,
        permits: Sequence[Permit | str] | Application | Permit | str = (),
        *,
        frame: Mapping[str, Any] | Any = None,
        purpose: str = "research",
        min_holders: int | None = None,
        on_refusal: Literal["fail", "leave-out"] = "fail",
        datasets: Sequence[Dataset | str] = (),
        key: str = "",
    ) -> Study:
        """Open a study: questions that share permits, data sets and a frame.

        Args:
            title: Name for people.
            permits: Data permits, one per country, or the application that they came out of.
            frame: What is read of each data set, a ``StudyFrame`` or a mapping of its fields.
            purpose: Purpose code of Art. 53; must be the permits'.
            min_holders: Fewest holders to go on with when one is lost; None means that all must answer.
            on_refusal: ``leave-out`` goes on without a holder that refuses to open its data.
            datasets: Which data set to read of a holder of whom the permits cover several.
            key: Your own name for it: opened again with the same key, it is the same study.

        Raises:
            Refused: A permit does not cover it.
            Conflict: The key was used for a study with other permits, frame or options.
        """
        chosen = [d if isinstance(d, Dataset) else self.dataset(d) for d in datasets]
        options = {
            "min_holders": min_holders,
            "on_refusal": on_refusal,
            "datasets": {str(d.description["holder"]["iri"]): d.iri for d in chosen},
        }
        body = {
            "title": title,
            "permits": permit_ids_of(permits),
            "frame": to_plain(frame) if frame is not None else {},
            "purpose": purpose,
            "options": options,
            "key": key,
        }
        return study_of(self._link, self._link.post("/api/studies", body))

    def run(
        self,
        plan: StudyPlan | Mapping[str, Any] | str | Path,
        *,
        study: str = "",
        again: bool = False,
        at_once: int = 3,
        timeout: float = 3600,
        watch: Callable[[StudyRun], None] | None = None,
    ) -> StudyRun:
        """Carry a study out: ask all its questions, each as soon as those that it needs are answered.

        Run again after a crash or an interruption, it goes on where it was: nothing is asked twice.

        Args:
            plan: A `StudyPlan`, a mapping with its members, or the path of a study file.
            study: Identifier of an open study to ask in; by default the one that belongs to the plan.
            again: Ask anew what has failed for good too, e.g. after a policy was changed.
            at_once: Most questions under way at the same time.
            timeout: Longest wait for one answer, seconds.
            watch: Called with the run after each change, now and then from another thread.

        Returns:
            Answers and problems by name; a question without an answer does not raise here.

        Raises:
            Invalid: The plan is wrong.
            Refused: A permit does not cover the study.
        """
        read = plan_of(plan)
        opened = self.open_study(study) if study else self._study_of(read)
        mine = [permit.issued for permit in self.permits() if permit.id in opened.permits]
        run = StudyRun(plan=read, study=opened.study, permits=tuple(mine), user=self.me)
        return run_at(opened, run, again=again, at_once=at_once, timeout=timeout, changed=watch)

    def rehearse(
        self,
        asked: StudyPlan | Mapping[str, Any] | str | Path,
        datasets: Sequence[Dataset | str] = (),
        *,
        frame: Mapping[str, Any] | Any = None,
    ) -> StudyRun:
        """Answer questions on synthetic rows with the data sets' published dictionaries.

        No holder hears of it and no permit is needed: columns, levels and the shape of the answers are seen
        before anything is asked. Each answer is marked as synthetic.

        Args:
            asked: A plan, a study file, or one question as a mapping with a ``method``.
            datasets: Data sets to rehearse on; by default those of the plan's permits.
            frame: What is read of each data set, for a single question.
        """
        if isinstance(asked, Mapping) and "method" in asked:
            single = {"title": "Rehearsal", "frame": to_plain(frame or {}), "questions": {"question": asked}}
            asked = parse_plan(single)
        plan = plan_of(asked)
        iris = [d.iri if isinstance(d, Dataset) else d for d in datasets] or self._datasets_of(plan)
        told = {"title": plan.title, "synthetic": True, "datasets": dict(enumerate(iris))}
        body = {"datasets": iris, "frame": dict(plan.frame)}

        def ask(planned: PlannedQuestion, question: dict[str, Any]) -> Answer:
            return rehearsed(self._link, {**body, "question": question})

        return carry_out(StudyRun(plan=plan, study=told, user=self.me), ask, at_once=2)

    def _datasets_of(self, plan: StudyPlan) -> list[str]:
        """The data sets that a plan reads, by its permits."""
        if plan.datasets:
            return list(plan.datasets)
        ids = permit_ids_of(self.application(plan.application) if plan.application else plan.permits)
        scopes = [scope for permit in self.permits() if permit.id in ids for scope in permit.permit["data"]]
        return list(dict.fromkeys(str(scope["dataset"]) for scope in scopes))

    def _study_of(self, plan: StudyPlan) -> Study:
        permits = permit_ids_of(self.application(plan.application) if plan.application else plan.permits)
        return self.study(
            plan.title,
            permits,
            frame=plan.frame,
            purpose=plan.purpose,
            min_holders=plan.min_holders,
            on_refusal=plan.on_refusal,
            datasets=plan.datasets,
            key=plan.key(permits),
        )

    def open_study(self, id: str) -> Study:
        """A study that was opened before."""
        return study_of(self._link, self._link.get(f"/api/studies/{id}"))

    def studies(self) -> list[Study]:
        """The caller's studies."""
        return [study_of(self._link, study) for study in self._link.get("/api/studies")]

    def question(self, id: str) -> PendingQuestion:
        """A question that was asked before, answered or not."""
        return question_of(self._link, id)

    # decide, as an officer of an access body

    def cases(self, view: str = "open", text: str = "") -> list[Case]:
        """Applications before this access body, the next deadline first.

        Args:
            view: ``open``, ``mine``, ``unassigned``, ``overdue``, ``proposed``, ``awaiting`` or ``closed``.
            text: Only those whose title, applicant or identifier contains it.
        """
        return [Case(self._link, line) for line in self._lines("/api/cases", view=view, text=text)]

    def case_counts(self) -> dict[str, int]:
        """How many cases each list has."""
        return dict(self._link.get("/api/cases/counts"))

    def officers(self) -> dict[str, str]:
        """Who handles cases at this access body: name by account."""
        return dict(self._link.get("/api/officers"))

    def case(self, id: str) -> Case:
        """One application before this access body."""
        return Case(self._link, self._link.get(f"/api/cases/{id}"))

    def revoke(self, permit: str | Permit, reason: str) -> Permit:
        """Revoke a data permit; runs under it stop at the next step."""
        id = permit.id if isinstance(permit, Permit) else permit
        return Permit(self._link.post("/api/permits/revoke", {"id": id, "reason": reason}))

    def deletions(self, permit: str | Permit) -> list[dict[str, Any]]:
        """Proofs of a permit's holders that they deleted what they kept under it (Art. 68(12)).

        Each has the ``receipt`` of an entry in the holder's own log, which its public key checks.
        """
        id = permit.id if isinstance(permit, Permit) else permit
        return list(self._link.get(f"/api/deletions?permit={quote(id, safe='')}"))

    def reidentify(self, permit: str | Permit, pseudonym: str, reason: str) -> dict[str, Any]:
        """Ask, as an officer, to take a pseudonym back: for a significant finding (Art. 58(3)), say.

        Returns:
            The request; its ``id`` is what another officer gives to `confirm_reidentification`.
        """
        id = permit.id if isinstance(permit, Permit) else permit
        asked = {"permit": id, "pseudonym": pseudonym, "reason": reason}
        return dict(self._link.post("/api/reidentifications", asked))

    def confirm_reidentification(self, id: str) -> str:
        """The identifier behind a pseudonym, for the officer who confirms what another one asked."""
        path = f"/api/reidentifications/{quote(id, safe='')}/confirm"
        return str(self._link.post(path, {})["identifier"])

    def _change(self, permits: Sequence[str | Permit], kind: str) -> Application:
        ids = [permit if isinstance(permit, str) else permit.id for permit in permits]
        begun = self._link.post("/api/applications/changes", {"permits": ids, "kind": kind})
        return Application(self._link, begun)

    def _lines(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """All lines of a list that the node gives in pages."""
        after = ""
        while True:
            page = self._link.get(path, after=after, limit=200, **query)
            yield from page["lines"]
            after = page["next"]
            if not after:
                return

    # decide over oneself, as a citizen

    def opt_out(self, opted_out: bool | None = None, *, level: str = "") -> dict[str, Any]:
        """Opt out of secondary use (True), reverse it (False), or see how it stands (None); Art. 71.

        Args:
            opted_out: What to do.
            level: What to opt out from, where the country lets one choose: a name among ``levels`` of the
                answer; empty for all secondary use.
        """
        if opted_out is None:
            return dict(self._link.get("/api/opt-out"))
        return dict(self._link.post("/api/opt-out", {"opted_out": opted_out, "level": level}))

    def opt_out_receipt(self, index: int) -> dict[str, Any]:
        """Proof that a choice of one's own is in the access body's log.

        `salerno audit check-receipt` checks it.

        Args:
            index: ``receipt`` or ``reversal_receipt`` of a period in the history that `opt_out` gives.
        """
        return dict(self._link.get(f"/api/opt-out/receipts/{index}"))
