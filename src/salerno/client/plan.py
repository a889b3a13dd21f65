"""A study as a file: its title, permits and frame, and its questions by name, some of which need others."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal

from salerno.kernel.errors import Invalid, NotFound, near
from salerno.kernel.values import digest, from_plain, to_plain

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True)
class PlannedQuestion:
    """A question of a plan.

    Args:
        question: The question as JSON. Where it has ``{"from": "other", "path": "values.1"}``, that figure
            of the other question's released result is put in its place.
        needs: Questions that must be answered before; those that it takes figures from among them.
        title: Heading in the report.
    """

    name: str
    question: Mapping[str, Any]
    needs: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """What a study asks, of which data; see `read_plan` for how it is written.

    Args:
        title: Name for people.
        questions: In the order of the report.
        description: What it is for, in the report.
        purpose: Purpose code of Art. 53; must be the permits'.
        permits: Identifiers of the data permits; or
        application: the application that they came out of.
        frame: What is read of each data set.
        min_holders, on_refusal: How to go on when a holder is missing.
        datasets: IRI of the data set to read of a holder of whom the permits cover several.
    """

    title: str
    questions: tuple[PlannedQuestion, ...]
    description: str = ""
    purpose: str = "research"
    permits: tuple[str, ...] = ()
    application: str = ""
    frame: Mapping[str, Any] = field(default_factory=dict)
    min_holders: int | None = None
    on_refusal: Literal["fail", "leave-out"] = "fail"
    datasets: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> PlannedQuestion:
        """The question of that name.

        Raises:
            NotFound: There is none.
        """
        for planned in self.questions:
            if planned.name == name:
                return planned
        remedy = near(name, (planned.name for planned in self.questions))
        raise NotFound("no-such-question", f"The study has no question {name!r}", remedy=remedy)

    def key(self, permits: Iterable[str]) -> str:
        """The name of the study at the node: the same plan on the same permits is the same study."""
        return digest([self.title, self.purpose, list(permits), self.frame, self._options()])[:40]

    def to_json(self) -> str:
        """The plan as a study file in JSON."""
        plain = to_plain(self)
        questions = {
            planned.name: {
                **planned.question,
                **({"needs": list(planned.needs)} if planned.needs else {}),
                **({"title": planned.title} if planned.title else {}),
            }
            for planned in self.questions
        }
        kept = {name: value for name, value in plain.items() if value not in (None, "", [], {})}
        return json.dumps({**kept, "questions": questions}, indent=2, ensure_ascii=False)

    def _options(self) -> list[Any]:
        return [self.min_holders, self.on_refusal, list(self.datasets)]


def read_plan(path: str | Path) -> StudyPlan:
    """Read a study file.

    It is TOML, or JSON when it ends so. ``frame`` may be the path of a JSON file beside it. Each question is
    a table ``[questions.NAME]`` with the members of the question, and optionally ``needs`` and ``title``.

    Raises:
        NotFound: There is no such file.
        Invalid: It is not well formed, or a member is unknown, missing or of the wrong type.
    """
    path = Path(path)
    given = _read(path)
    frame = given.get("frame")
    if isinstance(frame, str):
        given["frame"] = _read(path.parent / frame)
    return parse_plan(given, what=str(path))


def plan_of(given: StudyPlan | Mapping[str, Any] | str | Path) -> StudyPlan:
    """A plan as such, out of plain values, or out of a file."""
    if isinstance(given, StudyPlan):
        return given
    return parse_plan(given) if isinstance(given, Mapping) else read_plan(given)


def parse_plan(given: Mapping[str, Any], *, what: str = "The study") -> StudyPlan:
    """A plan out of plain values, checked.

    Raises:
        Invalid: A member is unknown, missing or of the wrong type, or questions need each other in a circle.
    """
    known = [*StudyPlan.__dataclass_fields__]
    for name in given:
        if name not in known:
            raise Invalid("unknown-key", f"{what} has an unknown member {name!r}", remedy=near(name, known))
    listed = given.get("questions")
    if not isinstance(listed, Mapping) or not listed:
        raise Invalid("no-questions", f"{what} has no questions", remedy="Write [questions.NAME] tables.")
    questions = tuple(_planned(name, question) for name, question in listed.items())
    rest = {name: value for name, value in given.items() if name != "questions"}
    plan = from_plain({**rest, "questions": []}, StudyPlan, what=what)
    if plan.permits and plan.application:
        raise Invalid("permits-twice", f"{what} has both permits and an application", remedy="Keep one.")
    _check_needs(questions)
    return from_plain({**rest, "questions": [to_plain(q) for q in questions]}, StudyPlan, what=what)


def filled(question: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The question with the figures that it takes from answers.

    Args:
        question: As in the plan.
        results: ``result`` of the answers by name.

    Raises:
        Invalid: A result has no such figure, or it was not released.
    """

    def fill(value: Any) -> Any:
        if _is_reference(value):
            return _figure(results[value["from"]], value["from"], str(value.get("path", "")))
        if isinstance(value, Mapping):
            return {name: fill(inner) for name, inner in value.items()}
        return [fill(inner) for inner in value] if isinstance(value, list) else value

    return {name: fill(value) for name, value in question.items()}


def _figure(result: Any, name: str, path: str) -> Any:
    found = result
    for step in path.split(".") if path else ():
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.lstrip("-").isdigit() and -len(found) <= int(step) < len(found):
            found = found[int(step)]
        else:
            here = found if isinstance(found, Mapping) else {}
            raise Invalid(
                "no-such-figure",
                f"The answer to {name!r} has no {path!r}: there is no {step!r}",
                remedy=near(step, here) if here else "Count the members of a list from 0.",
            )
    if found is None:
        raise Invalid(
            "figure-not-released",
            f"The answer to {name!r} has no value at {path!r}: it was not released",
            remedy="Ask about a larger group, or write the value into the question.",
        )
    return found


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, Mapping) and isinstance(value.get("from"), str) and set(value) <= {"from", "path"}
    )


def _references(value: Any) -> Iterator[str]:
    if _is_reference(value):
        yield str(value["from"])
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _planned(name: str, given: Any) -> PlannedQuestion:
    if not _NAME.fullmatch(name):
        raise Invalid(
            "question-name", f"{name!r} is no name of a question", remedy="Use letters, digits, - and _."
        )
    if not isinstance(given, Mapping) or not isinstance(given.get("method"), str):
        raise Invalid("no-method", f"Question {name!r} names no method", remedy='Write method = "…".')
    question = {member: value for member, value in given.items() if member not in ("needs", "title")}
    needs = given.get("needs", [])
    needs = [needs] if isinstance(needs, str) else needs
    if not isinstance(needs, list) or not all(isinstance(need, str) for need in needs):
        raise Invalid("wrong-type", f"'needs' of question {name!r} must be a list of names")
    return PlannedQuestion(
        name=name,
        question=question,
        needs=tuple(dict.fromkeys([*needs, *_references(question)])),
        title=str(given.get("title", "")),
    )


def _check_needs(questions: Iterable[PlannedQuestion]) -> None:
    needs = {planned.name: planned.needs for planned in questions}
    for name, needed in needs.items():
        for other in needed:
            if other not in needs:
                raise Invalid(
                    "unknown-question",
                    f"Question {name!r} needs {other!r}, which the study does not have",
                    remedy=near(other, needs),
                )
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = " needs ".join(reversed(error.args[1]))
        raise Invalid(
            "circle", f"Questions need each other: {circle}", remedy="Drop one of the needs."
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound("no-such-file", f"There is no file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("unreadable-file", f"{path} cannot be read as text: {error}") from error
    kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
    try:
        given = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except ValueError as error:
        raise Invalid(f"not-{kind.lower()}", f"{path} is not {kind}: {error}") from error
    if not isinstance(given, dict):
        raise Invalid("not-an-object", f"{path} is not a JSON object", remedy='Write {"title": …}.')
    return given
