"""The story that the demo tells: describe, find, apply, decide, analyse, account, refuse."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

import salerno
from salerno.audit.rules import verify_receipt
from salerno.client.answer import Answer
from salerno.client.applications import Application
from salerno.client.datasets import Dataset
from salerno.client.report import Section, write_report
from salerno.client.session import Session
from salerno.client.studies import Study
from salerno.holdings.model import StudyFrame
from salerno.holdings.rules import columns_needed
from salerno.kernel.errors import Conflict, SalernoError, Unavailable
from salerno.kernel.values import to_plain
from salerno.nodes.assemble import open_node
from salerno.nodes.demo import DemoOptions
from salerno.nodes.demo.pooled import Comparison, compare
from salerno.nodes.demo.processes import NodeProcesses
from salerno.nodes.demo.screen import Screen, comparison_table
from salerno.nodes.demo.space import HUB, Space, make_space
from salerno.nodes.demo_data import (
    GIBLEED_FRAME,
    gibleed,
    person_identifiers,
    pooled_frame,
    split_omop,
    synthetic_omop,
)
from salerno.permits.model import Assessment, Criterion, DisclosurePolicy
from salerno.permits.rules import CRITERIA
from salerno.web.tables import Table

MARKER = ".salerno-demo"
COUNTRIES = 3
OBJECTORS = 2

QUESTIONS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "persons": ("Persons per country", {"method": "count", "by": "holder"}),
    "age": ("Age at the first prescription", {"method": "describe", "variable": "age", "by": "group"}),
    "sex": ("Sex", {"method": "crosstab", "rows": "group", "columns": "sex"}),
    "survival": (
        "Time without gastrointestinal haemorrhage",
        {"method": "kaplan_meier", "time": "time", "event": "status", "by": "group", "grid": 30},
    ),
    "log_rank": (
        "Do the curves differ?",
        {"method": "log_rank", "time": "time", "event": "status", "by": "group"},
    ),
    "cox": (
        "Hazard, adjusted for age and sex",
        {"method": "cox", "formula": "Surv(time, status) ~ group + age + sex"},
    ),
    "logistic": (
        "Odds, adjusted for age and sex",
        {"method": "glm", "formula": "status ~ group + age + sex", "family": "binomial"},
    ),
}
"""Title and question by name; `pooled.compare` knows the names."""


def tell(options: DemoOptions) -> None:
    """Run the whole story.

    Raises:
        Conflict: The folder holds something that no demo made.
        Unavailable: A node did not start.
    """
    screen = Screen()
    folder = _fresh(options.folder.absolute())
    with screen.step("Hospitals connect their data and describe them"):
        sources, title = _sources(options, folder)
        objectors = [_objectors(source) for source in sources]
        space = make_space(folder / "nodes", sources, title=title, objectors=objectors)
        screen.say(f"{len(sources)} hospitals, {len(space.urls)} nodes, each with its own keys and database")
    with NodeProcesses(space.folders) as processes:
        with screen.step("The nodes start, each a process of its own"):
            processes.start()
            for name, url in space.urls.items():
                screen.say(f"{name:16} {url}")
        story = _Story(screen, space)
        opted_out = story.object(objectors)
        datasets = story.find()
        application = story.apply(datasets, GIBLEED_FRAME)
        story.decide(application)
        answers = story.study(application, GIBLEED_FRAME)
        with screen.step("The same by statsmodels on all rows in one place, which only the demo can do"):
            rows = pooled_frame(sources, GIBLEED_FRAME, names=story.hospital_names(), without=opted_out)
            comparisons = compare({name: a.answer for name, a in answers.items()}, rows)
            screen.comparisons(comparisons)
        refusals = story.go_beyond(application, datasets, GIBLEED_FRAME, rows)
        receipts = story.account()
        report = options.report or folder / "report.html"
        _write(report, answers, comparisons, refusals, receipts, rows)
        screen.console.print(f"\nThe report with all tables and plots: [bold]{report}[/bold]")
        screen.end()
        if options.serve:
            first = space.countries[0]
            ranks = ("officer", "second officer")
            officers = [f"{rank} {country}" for country in space.countries for rank in ranks]
            kinds = ["researcher", *officers, f"steward {first}", f"citizen {first} 1", "operator"]
            screen.addresses(space, kinds=[kind for kind in kinds if kind in space.log_ins])
            screen.console.print("\nThe nodes run until you press Ctrl-C.")
            _until_told()


class _Story:
    """The acts that go over the wire, each by the log-in of the person who does it."""

    def __init__(self, screen: Screen, space: Space) -> None:
        self._screen = screen
        self._space = space
        self._sessions: dict[str, Session] = {}

    def session(self, kind: str) -> Session:
        """The session of one person of the story."""
        if kind not in self._sessions:
            log_in = self._space.log_ins[kind]
            self._sessions[kind] = salerno.connect(log_in.url, log_in.login, log_in.password)
        return self._sessions[kind]

    def hospital_names(self) -> list[str]:
        """The hospitals' names in the order of their countries."""
        names = []
        for country in self._space.countries:
            with open_node(self._space.folders[f"{country} hospital"]) as node:
                names.append(node.own.name)
        return names

    def object(self, objectors: Sequence[Sequence[str]]) -> list[list[str]]:
        """Citizens opt out; the identifiers of those who did, by hospital."""
        with self._screen.step("Citizens opt out of secondary use (Art. 71)"):
            for kind in self._space.log_ins:
                if kind.startswith("citizen"):
                    self.session(kind).opt_out(True)
            count = sum(len(one) for one in objectors)
            self._screen.say(f"{count} persons opted out at their access bodies; no reason is asked for")
        return [list(one) for one in objectors]

    def find(self) -> list[Dataset]:
        """The catalogues are harvested, and the researcher finds the data sets."""
        with self._screen.step("The European catalogue is harvested, and the researcher finds the data sets"):
            for country in self._space.countries:
                self.session(f"officer {country}").harvest()
            self.session("operator").harvest()
            found = self.session("researcher").search("celecoxib haemorrhage")
            for dataset in found:
                self._screen.say(
                    f"{dataset.country}  {dataset.title}: {_at_least(dataset.n_persons)} persons, "
                    f"{len(dataset.variables())} variables"
                )
            if len(found) != len(self._space.countries):
                raise Unavailable(
                    "demo-catalogue",
                    f"{len(found)} data sets were found instead of {len(self._space.countries)}",
                    remedy="Look into the nodes' logs.",
                )
        return found

    def apply(self, datasets: Sequence[Dataset], frame: StudyFrame) -> Application:
        """One application for all countries (Art. 67)."""
        with self._screen.step("The researcher files one application for all countries (Art. 67)"):
            application = self.session("researcher").apply(
                title="Gastrointestinal haemorrhage after celecoxib or diclofenac",
                data=[_scope(dataset, frame) for dataset in datasets],
                purpose="research",
                intended_use="Compare the time to gastrointestinal haemorrhage in new users of both drugs.",
                contact_email="marie@university.example",
                expected_benefit="Safer choice among pain killers for patients at risk.",
                safeguards="Only answers that pass disclosure control leave the hospitals.",
                pseudonymised=True,
                why_not_anonymised="Survival times per person are needed to compute the sums.",
                gdpr_basis="GDPR Art. 6(1)(e), 9(2)(j)",
                lay_summary="Two pain killers are compared for a rare, grave side effect.",
                period_months=12,
                confirm=True,
            )
            self._screen.say(
                f"{application.id}: {', '.join(f'{c} {s}' for c, s in application.countries.items())}"
            )
        return application

    def decide(self, application: Application) -> None:
        """Each access body assesses and issues its permit (Art. 68)."""
        with self._screen.step("At each access body two officers decide and issue its data permit (Art. 68)"):
            for country in self._space.countries:
                officer = self.session(f"officer {country}")
                case = _soon(lambda officer=officer: officer.case(application.id))  # type: ignore[misc]
                case.take_up().find_complete().propose("grant", _assessment(), no_conflict=True)
                self.session(f"second officer {country}").case(case.id).confirm(no_conflict=True)
            application.wait(timeout=60)
            for permit in self.session("researcher").permits():
                self._screen.say(f"{permit.country}  {permit.id}, until {permit.valid_until[:10]}")

    def study(self, application: Application, frame: StudyFrame) -> dict[str, Answer]:
        """The study runs; the answers by name of the question."""
        answers: dict[str, Answer] = {}
        with self._screen.step("The study runs: masked sums cross the border, no row does"):
            study = self._open(self.session("researcher"), application, frame)
            for name, (title, question) in QUESTIONS.items():
                answers[name] = study.ask(question, progress=None)
                self._screen.answer(title, answers[name])
        return answers

    def go_beyond(
        self, application: Application, datasets: Sequence[Dataset], frame: StudyFrame, rows: pd.DataFrame
    ) -> list[tuple[str, str]]:
        """Attempts beyond the permit; each is refused, with its reason."""
        refusals: list[tuple[str, str]] = []

        def attempt(title: str, act: Callable[[], object]) -> None:
            try:
                act()
            except SalernoError as error:
                self._screen.refused(title, error)
                refusals.append((title, str(error)))
            else:
                raise RuntimeError(f"{title}: was not refused")

        researcher = self.session("researcher")
        with self._screen.step("Attempts beyond the permit are refused"):
            wider = to_plain(frame) | {
                "covariates": [
                    {
                        "name": "smoker",
                        "event": {"table": "observation", "concepts": [4275495], "descendants": False},
                    }
                ]
            }
            attempt(
                "A column that the permit does not name",
                lambda: self._open(researcher, application, wider).ask({"method": "count"}, progress=None),
            )
            attempt(
                "A person whom the permit does not name",
                lambda: self._open(self.session("other researcher"), application, frame),
            )
            few = to_plain(frame) | {"where": [{"column": "age", "operator": "<", "value": _few_below(rows)}]}
            attempt(
                "A group below the threshold",
                lambda: self._open(researcher, application, few).ask(
                    {"method": "describe", "variable": "age"}, progress=None
                ),
            )
            attempt("After the permit's end", lambda: self._after_end(datasets, frame))
        return refusals

    def account(self) -> dict[str, str]:
        """Every node's log is verified; a receipt by node."""
        receipts: dict[str, str] = {}
        with self._screen.step(
            "Everybody accounts: each node's log is verified, and receipts can be checked offline"
        ):
            for name, folder in self._space.folders.items():
                with open_node(folder) as node, node.audit() as log:
                    report = log.verify()
                    acts = {
                        "EU": "question-answered",
                        "access body": "permit-issued",
                        "hospital": "view-read",
                    }
                    entries = log.entries(act=acts[name.partition(" ")[2] or HUB], limit=1000)
                    receipt = log.receipt(entries[-1].index)
                    verify_receipt(receipt, node.keys.signing_jwk())
                    receipts[name] = receipt.checkpoint
                    state = "sound" if report.ok else f"BROKEN: {report}"
                    self._screen.say(
                        f"{name:16} {report.size:4d} entries, {state}; receipt of entry {entries[-1].index} "
                        f"({entries[-1].act}) holds"
                    )
        return receipts

    def _open(self, session: Session, application: Application, frame: Any) -> Study:
        return session.study(
            "Celecoxib, diclofenac and haemorrhage", application, frame=frame, purpose="research"
        )

    def _after_end(self, datasets: Sequence[Dataset], frame: StudyFrame) -> None:
        """A second permit that ends in a moment, and a question after that moment."""
        researcher = self.session("researcher")
        first = self._space.countries[0]
        short = researcher.apply(
            title="The same for a moment",
            data=[_scope(d, frame) for d in datasets if d.country == first],
            purpose="research",
            intended_use="Show that a permit ends.",
            contact_email="marie@university.example",
            expected_benefit="Trust.",
            safeguards="The same as before.",
            pseudonymised=True,
            why_not_anonymised="The same as before.",
            gdpr_basis="GDPR Art. 6(1)(e), 9(2)(j)",
            lay_summary="Shows that a permit ends.",
            confirm=True,
        )
        officer = self.session(f"officer {first}")
        case = _soon(lambda: officer.case(short.id))
        end = datetime.now(UTC) + timedelta(seconds=3)
        case.take_up().find_complete().propose("grant", _assessment(), no_conflict=True, until=end)
        self.session(f"second officer {first}").case(case.id).confirm(no_conflict=True)
        short.wait(timeout=60)
        study = self._open(researcher, short, frame)
        time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()) + 0.1)
        study.ask({"method": "count"}, progress=None)


def _sources(options: DemoOptions, folder: Path) -> tuple[list[str], str]:
    if options.cdm:
        return list(options.cdm), "Own OMOP data"
    whole = folder / "data" / "whole"
    if options.persons is None:
        gibleed(whole)
        title = "GiBleed"
    else:
        synthetic_omop(whole, options.persons, options.seed)
        title = f"Synthetic population of {options.persons:,}"
    parts = split_omop(whole, [folder / "data" / f"part-{number + 1}" for number in range(COUNTRIES)])
    shutil.rmtree(whole)
    return [str(part) for part in parts], title


def _objectors(source: str) -> list[str]:
    return person_identifiers(source, OBJECTORS)


def _fresh(folder: Path) -> Path:
    """An empty folder; what an earlier demo left there is removed, anything else is not."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise Conflict("demo-folder", f"{folder} holds files that no demo made",
                           remedy="Choose another folder with --folder.")  # fmt: skip
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).touch()
    return folder


def _scope(dataset: Dataset, frame: StudyFrame) -> dict[str, Any]:
    """Just the columns that the study frame needs: no more is asked for (Art. 66(1))."""
    return dataset.scope({table: sorted(columns) for table, columns in columns_needed(frame).items()})


def _assessment() -> Assessment:
    return Assessment(
        assessor="officer",
        criteria=tuple(Criterion(letter=letter, met=True) for letter in CRITERIA),
        risks="None beyond those that disclosure control addresses.",
    )


def _few_below(rows: pd.DataFrame) -> int:
    """An age below which somebody is, but at no hospital as many as the threshold."""
    threshold = DisclosurePolicy().min_cell
    youngest = rows.groupby("holder")["age"].apply(lambda ages: ages.nsmallest(threshold).max())
    return int(youngest.min())


def _soon(look: Callable[[], Any], seconds: float = 30) -> Any:
    """What `look` gives once it is there: a message between nodes takes a moment."""
    end = time.monotonic() + seconds
    while True:
        try:
            return look()
        except SalernoError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _write(
    path: Path,
    answers: Mapping[str, Answer],
    comparisons: Sequence[Comparison],
    refusals: Sequence[tuple[str, str]],
    receipts: Mapping[str, str],
    rows: pd.DataFrame,
) -> None:
    sections = [
        Section(
            title="The question",
            text="Does celecoxib or diclofenac go with more gastrointestinal haemorrhage?\n\n"
            f"{len(rows):,} persons began one of the two drugs. Each hospital computed sums over its own "
            "rows; the sums were masked before they crossed the border: the coordinator saw totals only.",
        ),
        *(Section(title=QUESTIONS[name][0], answers=[answer]) for name, answer in answers.items()),
        Section(
            title="Federated and pooled",
            text="The demo has all rows, so it can hold the answers against statsmodels on the pooled rows.",
            tables=[comparison_table(comparisons)],
        ),
        Section(
            title="What was refused",
            tables=[
                Table(title="Attempts beyond the permit", columns=("attempt", "answer"), rows=tuple(refusals))
            ],
        ),
        Section(
            title="Accounts",
            text="Signed checkpoint of each node's log.",
            listing="\n".join(f"{name}\n{checkpoint}" for name, checkpoint in receipts.items()),
        ),
    ]
    write_report(path, "Celecoxib, diclofenac and gastrointestinal haemorrhage", sections)


def _at_least(count: int | None) -> str:
    return "few" if count is None else f"{count:,}"


def _until_told() -> None:
    told = threading.Event()
    previous = {s: signal.signal(s, lambda *_: told.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        told.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
