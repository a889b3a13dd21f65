"""A study: questions that share permits, data sets and a frame."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from html import escape
from typing import Any
from urllib.parse import urlencode

from salerno.client.answer import Answer
from salerno.client.applications import Application, Permit
from salerno.client.link import Link
from salerno.client.methods import Questions
from salerno.client.progress import working
from salerno.kernel.errors import Invalid, Unavailable, parse_problem
from salerno.kernel.values import to_plain

Progress = Callable[[str], AbstractContextManager[Callable[[str], None]]]
"""Shows that something goes on: opened with a sentence, it gives a function that changes the sentence."""

_POLL_SECONDS = 25
_WATCH_SECONDS = 1  # where somebody looks at the holders' states


class PendingQuestion:
    """A question that was asked and may not be answered yet."""

    def __init__(self, link: Link, asked: Mapping[str, Any]) -> None:
        self._link = link
        self.asked = dict(asked)

    @property
    def id(self) -> str:
        """Identifier of the question at the node."""
        return str(self.asked["id"])

    @property
    def state(self) -> str:
        """``queued``, ``running``, ``answered`` or ``failed``."""
        return str(self.asked["state"])

    @property
    def done(self) -> bool:
        """Whether there is an answer, or an error instead of one."""
        return self.state in ("answered", "failed")

    @property
    def progress(self) -> str:
        """Where it stands, as a sentence."""
        return str(self.asked.get("progress", ""))

    @property
    def holders(self) -> list[dict[str, Any]]:
        """What each holder does for it, while it runs and when it failed.

        Each has ``name`` and ``state``: ``opening``, ``opened``, ``computing``, ``answered``, ``refused``,
        ``silent`` or ``left-out``, with ``seconds`` since its last sign of life, and a ``reason``.
        """
        return [dict(part) for part in self.asked.get("holders") or ()]

    @property
    def standing(self) -> str:
        """Where it stands, with a line for each holder."""
        return "\n".join([self.progress or self.state, *(f"  {holder_words(h)}" for h in self.holders)])

    def refresh(self, *, wait: float = 0) -> PendingQuestion:
        """Look again.

        Args:
            wait: Seconds that the node may hold the request until there is news.
        """
        seconds = max(0, int(wait))
        self.asked = self._link.get(f"/api/questions/{self.id}", wait=seconds, timeout_seconds=seconds + 30)
        return self

    def wait(
        self,
        timeout: float = 600,
        *,
        progress: Progress | None = working,
        watch: Callable[[PendingQuestion], None] | None = None,
    ) -> Answer:
        """Wait for the answer.

        Args:
            timeout: Longest wait, seconds.
            progress: How to show that it goes on; None shows nothing.
            watch: Called after each look with the question as it stands, see `holders`.

        Raises:
            SalernoError: What ended the question, e.g. `Refused` by disclosure control.
            Unavailable: The time is over; the question goes on and can be waited for again.
        """
        end = time.monotonic() + timeout
        hold = _WATCH_SECONDS if watch or (progress and sys.stderr.isatty()) else _POLL_SECONDS
        with progress("The question is on its way") if progress else nullcontext(_silent) as tell:
            while not self.done:
                left = end - time.monotonic()
                if left <= 0:
                    raise Unavailable(
                        "not-answered-yet",
                        f"Question {self.id} had no answer after {timeout:g} seconds",
                        remedy=f"It goes on ({self.progress or self.state}). Read it later by its id.",
                    )
                before = time.monotonic()
                news = self.refresh(wait=min(hold, max(1, left)))
                tell(news.standing)
                if watch:
                    watch(news)
                if not news.done and time.monotonic() - before < 0.05:
                    time.sleep(0.2)  # the node does not hold requests: do not knock without pause
        return self.answer

    @property
    def answer(self) -> Answer:
        """The answer.

        Raises:
            SalernoError: The question failed, or has no answer yet.
        """
        if self.state == "failed":
            problem = self.asked.get("error") or {}
            raise parse_problem(problem, int(problem.get("status", 500)))
        if not self.done:
            raise Unavailable(
                "not-answered-yet", f"Question {self.id} is {self.state}", remedy="Call wait()."
            )
        return Answer(self.asked["answer"])

    def _repr_html_(self) -> str:
        if self.state == "answered":
            return self.answer._repr_html_()
        problem = self.asked.get("error") or {}
        words = f"{problem.get('detail', '')} {problem.get('remedy', '')}" if problem else self.progress
        parts = "".join(f"<li>{escape(holder_words(part))}</li>" for part in self.holders)
        return f"<p><b>{escape(self.state)}</b> {escape(words)}</p><ul>{parts}</ul>"

    def __repr__(self) -> str:
        return f"<PendingQuestion {self.id} {self.asked['question'].get('method', '')}: {self.state}>"


class Study(Questions):
    """A study at the node; ask by `ask` with a question as JSON, or by the methods' names."""

    def __init__(self, link: Link, study: Mapping[str, Any]) -> None:
        self._link = link
        self.study = dict(study)

    @property
    def id(self) -> str:
        """Identifier of the study."""
        return str(self.study["id"])

    @property
    def title(self) -> str:
        """Name for people."""
        return str(self.study["title"])

    @property
    def permits(self) -> list[str]:
        """Identifiers of the permits that it stands on."""
        return list(self.study["permits"])

    def submit(self, question: Mapping[str, Any], *, key: str = "") -> PendingQuestion:
        """Ask without waiting for the answer.

        Args:
            question: The question as JSON.
            key: Your own name for it in this study: asked again with the same key, it is not asked again.

        Raises:
            Invalid: The question cannot be asked; the message says what is wrong with it.
            Conflict: The key was used for another question.
        """
        place = f"/api/studies/{self.id}/questions"
        asked = self._link.post(
            f"{place}?{urlencode({'key': key})}" if key else place, to_plain(dict(question))
        )
        return PendingQuestion(self._link, asked)

    def ask(
        self,
        question: Mapping[str, Any],
        *,
        timeout: float = 600,
        progress: Progress | None = working,
        watch: Callable[[PendingQuestion], None] | None = None,
    ) -> Answer:
        """Ask and wait for the answer.

        Args:
            question: The question as JSON, e.g. ``{"method": "count"}``.
            timeout: Longest wait, seconds.
            progress: How to show that it goes on; None shows nothing.
            watch: Called now and then with the question as it stands, e.g. to show each holder's state.

        Raises:
            Invalid: The question cannot be asked.
            Refused: Permit, opt-out or disclosure control forbid the answer.
            Unavailable: Too few holders answered, or the time is over.
        """
        return self.submit(question).wait(timeout, progress=progress, watch=watch)

    def rehearse(self, question: Mapping[str, Any]) -> Answer:
        """Answer a question on synthetic rows with the dictionary of the study's data sets.

        No holder hears of it. The answer, marked as synthetic, shows columns, levels and shape.

        Raises:
            Invalid: The question cannot be asked like that.
            Refused: Disclosure control would refuse it with as many rows.
        """
        return rehearsed(self._link, {"study": self.id, "question": dict(question)})

    def questions(self) -> list[PendingQuestion]:
        """All questions of the study, answered or not."""
        asked = self._link.get(f"/api/studies/{self.id}/questions")
        return [PendingQuestion(self._link, question) for question in asked]

    def _repr_html_(self) -> str:
        frame = {name: value for name, value in self.study.get("frame", {}).items() if value}
        facts = {
            "Study": self.id,
            "Purpose": self.study.get("purpose", ""),
            "Permits": ", ".join(self.permits),
            "Data sets": ", ".join(self.study.get("datasets", {}).values()),
            "Frame": json.dumps(frame, ensure_ascii=False) if frame else "the data sets' table",
        }
        rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in facts.items())
        return f"<h3>{escape(self.title)}</h3><table>{rows}</table>"

    def __repr__(self) -> str:
        return f"<Study {self.id} {self.title!r}, {len(self.permits)} permits>"


def holder_words(part: Mapping[str, Any]) -> str:
    """A holder's state in words, e.g. ``Finland: computing``."""
    words = str(part["state"]).replace("-", " ")
    if words == "silent":
        words = f"silent for {part['seconds']} s" if part.get("seconds") else "did not answer"
    return f"{part['name']}: {words}{f' ({reason})' if (reason := part.get('reason')) else ''}"


def rehearsed(link: Link, body: Mapping[str, Any]) -> Answer:
    """The answer of a rehearsal at the node."""
    return Answer(link.post("/api/rehearsals", to_plain(dict(body)), timeout_seconds=300))


def question_of(link: Link, id: str) -> PendingQuestion:
    """A question by its identifier."""
    return PendingQuestion(link, link.get(f"/api/questions/{id}"))


def study_of(link: Link, study: Mapping[str, Any]) -> Study:
    """The study that a node's JSON describes."""
    return Study(link, study)


def permit_ids_of(permits: Sequence[Permit | str] | Application | Permit | str) -> list[str]:
    """Identifiers of permits, from whatever names them.

    Raises:
        Invalid: There is none.
    """
    if isinstance(permits, Application):
        ids = list(permits.refresh().permit_ids.values())
    elif isinstance(permits, str | Permit):
        ids = [_permit_id(permits)]
    else:
        ids = [_permit_id(permit) for permit in permits]
    if not ids:
        raise Invalid("no-permit", "A study needs at least one data permit", rule="EHDS Art. 68",
                      remedy="Apply for access first, and wait for the decisions.")  # fmt: skip
    return ids


def _permit_id(permit: Permit | str) -> str:
    return permit.id if isinstance(permit, Permit) else permit


def _silent(sentence: str) -> None:
    """Show nothing."""
