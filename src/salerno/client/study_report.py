"""The report of a study: what was asked of whom under which permits, and each answer with its evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from salerno.client.answer import Answer, heading_of
from salerno.client.plan import PlannedQuestion
from salerno.client.report import Section
from salerno.web.tables import SYNTHETIC, Table, provenance_facts
from salerno.web.tables.texts import NOTHING, make_table, number_text

if TYPE_CHECKING:
    from salerno.client.runs import StudyRun


def sections_of(run: StudyRun) -> list[Section]:
    """The parts of the report, in reading order."""
    return [
        _study(run),
        _overview(run),
        *(_question(run, planned) for planned in run.plan.questions),
        *_methods(run),
    ]


def _study(run: StudyRun) -> Section:
    plan = run.plan
    holders = list(dict.fromkeys(name for answer in run.answers.values() for name in answer.holders))
    facts = [
        ("Asked by", str(run.user.get("name", ""))),
        ("Purpose", plan.purpose),
        ("Study", str(run.study.get("id", ""))),
        ("Opened", str(run.study.get("created_at", ""))),
        ("Data holders", ", ".join(holders)),
        ("Data sets", ", ".join(_datasets(run))),
    ]
    tables = [_facts_table("The study", facts)]
    if run.permits:
        tables.append(_permits(run.permits))
    text = f"{SYNTHETIC}\n\n{plan.description}" if run.synthetic else plan.description
    listing = json.dumps(dict(plan.frame), indent=2, ensure_ascii=False) if plan.frame else ""
    return Section(title="Study", text=text, tables=tables, listing=listing)


def _datasets(run: StudyRun) -> list[str]:
    read = run.study.get("datasets")
    return [str(iri) for iri in read.values()] if isinstance(read, Mapping) else []


def _permits(permits: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        (
            str(permit["permit"]["id"]),
            str(permit["permit"]["country"]),
            str(permit["permit"]["issuer"]),
            str(permit["permit"]["valid_until"])[:10],
            str(permit["state"]),
        )
        for permit in permits
    ]
    return make_table("Data permits", ["Permit", "Country", "Issued by", "Valid until", "State"], rows)


def _overview(run: StudyRun) -> Section:
    rows = []
    for planned in run.plan.questions:
        answer = run.answers.get(planned.name)
        state = run.states.get(planned.name, "waiting").partition("\n")[0]
        rows.append(
            (
                planned.name,
                str(planned.question["method"]),
                state,
                number_text(answer.n) if answer else NOTHING,
                number_text(len(answer.holders)) if answer else NOTHING,
                ", ".join(planned.needs) or NOTHING,
            )
        )
    heads = ["Question", "Method", "State", "n", "Holders", "Needs"]
    return Section(title="Questions", tables=[make_table("Questions of the study", heads, rows)])


def _question(run: StudyRun, planned: PlannedQuestion) -> Section:
    answer = run.answers.get(planned.name)
    question = run.questions.get(planned.name, dict(planned.question))
    listing = json.dumps(question, indent=2, ensure_ascii=False)
    if answer is None:
        problem = run.problems.get(planned.name)
        text = f"There is no answer. {problem}" if problem else "There is no answer yet."
        return Section(title=planned.title or planned.name, text=text, listing=listing)
    return Section(
        title=planned.title or heading_of(answer.answer),
        answers=[answer],
        after=[_facts_table("Provenance", [("Name in the study", planned.name), *_provenance(answer)])],
        listing=listing,
    )


def _provenance(answer: Answer) -> list[tuple[str, str]]:
    return provenance_facts(answer.answer)


def _methods(run: StudyRun) -> list[Section]:
    from salerno.analysis.methods import METHODS

    used = dict.fromkeys(str(planned.question["method"]) for planned in run.plan.questions)
    rows = [
        (METHODS[name].LABEL, (METHODS[name].__doc__ or "").strip().partition("\n")[0])
        for name in used
        if name in METHODS
    ]
    if not rows:
        return []
    text = (
        "Each holder computed sums over its permitted view; the coordinator added them and never saw a row. "
        "The figures equal those of an analysis of the pooled rows."
    )
    table = make_table("Methods of the study", ["Method", "What it answers"], rows)
    return [Section(title="Methods", text=text, tables=[table])]


def _facts_table(title: str, facts: Sequence[tuple[str, str]]) -> Table:
    return make_table(title, ["What", "Value"], [pair for pair in facts if pair[1]])
