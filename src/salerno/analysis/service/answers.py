"""The answer of the contract: result, disclosure control, provenance."""

from __future__ import annotations

from salerno.analysis.model import Answer, AskedQuestion, QuestionState, Result, Study
from salerno.analysis.rules import FEW_HOLDERS
from salerno.analysis.service.ports import HubDesk, HubParts
from salerno.analysis.service.records import RunRecord
from salerno.kernel.values import digest, to_plain


def answer_question(
    desk: HubDesk,
    parts: HubParts,
    study: Study,
    asked: AskedQuestion,
    method: str,
    run: RunRecord,
    rounds: int,
    result: Result,
) -> None:
    """Put the answer on record and end the question with it, in the caller's transaction."""
    assert run.scope is not None
    scope = run.scope
    index = desk.audit.append(
        actor=parts.own.did,
        act="question-answered",
        subject=asked.id,
        detail={"run": run.run, "rounds": rounds, "holders": list(scope.holders)},
    )
    began = desk.store.start_question(asked.id, parts.now())
    answer = Answer(
        method=method,
        question=asked.question,
        holders=tuple(scope.names[did] for did in scope.holders),
        n=result.n,
        n_missing=result.n_missing,
        result=result.result,
        disclosure={
            **to_plain(scope.policy),
            "few_holders": FEW_HOLDERS if scope.few else "",
            "suppressed": result.suppressed,
            "notes": list(result.notes),
            "missing": [to_plain(m) for m in run.missing],
        },
        rounds=rounds,
        seconds=round((parts.now() - began).total_seconds(), 6),
        provenance={
            "coordinator": parts.own.did,
            "study": study.id,
            "question_id": asked.id,
            "question": digest(asked.question),
            "run": run.run,
            "permits": list(study.permits),
            "holders": list(scope.holders),
            "datasets": {did: study.datasets[did] for did in scope.holders},
            "scope": digest(scope),
            "salerno": parts.version,
            "audit_index": index,
        },
    )
    desk.store.end_question(asked.id, QuestionState.ANSWERED, answer=to_plain(answer))
