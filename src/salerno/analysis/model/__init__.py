"""The analysis contract: questions, sums, rounds, answers.

A statistical method is three pure functions (see `Method`). Both the coordinator and every holder
replay them from the same question and the same totals, so a state never crosses the border and
nobody can be probed with chosen coefficients.
"""

from salerno.analysis.model.method import (
    Aggregate,
    Method,
    Parameter,
    ParameterKind,
    Question,
    Released,
    Result,
    Scope,
    Sensitivity,
    Stage,
    Sums,
    Training,
)
from salerno.analysis.model.rounds import ArraySpec, Opened, RoundCall, RunOpening, Share, ShareHeader, Work
from salerno.analysis.model.studies import (
    Answer,
    AskedQuestion,
    HolderProgress,
    HolderState,
    QuestionState,
    Study,
    StudyOptions,
)

__all__ = [
    "Aggregate",
    "Answer",
    "ArraySpec",
    "AskedQuestion",
    "HolderProgress",
    "HolderState",
    "Method",
    "Opened",
    "Parameter",
    "ParameterKind",
    "Question",
    "QuestionState",
    "Released",
    "Result",
    "RoundCall",
    "RunOpening",
    "Scope",
    "Sensitivity",
    "Share",
    "ShareHeader",
    "Stage",
    "Study",
    "StudyOptions",
    "Sums",
    "Training",
    "Work",
]
