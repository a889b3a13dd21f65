"""Salerno: one question about patients in several countries, one exact and safe answer.

>>> import salerno
>>> session = salerno.connect("https://hub.example", login="marie")   # doctest: +SKIP
>>> for dataset in session.search("bleeding"):                        # doctest: +SKIP
...     print(dataset.title)

Names are loaded when they are first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from salerno.client.answer import Answer as Answer
    from salerno.client.answer import Plot as Plot
    from salerno.client.applications import Application as Application
    from salerno.client.applications import Permit as Permit
    from salerno.client.datasets import Dataset as Dataset
    from salerno.client.plan import StudyPlan as StudyPlan
    from salerno.client.report import Section as Section
    from salerno.client.report import write_report as write_report
    from salerno.client.runs import StudyRun as StudyRun
    from salerno.client.session import Session as Session
    from salerno.client.session import connect as connect
    from salerno.client.studies import PendingQuestion as PendingQuestion
    from salerno.client.studies import Study as Study
    from salerno.kernel.errors import Conflict as Conflict
    from salerno.kernel.errors import Invalid as Invalid
    from salerno.kernel.errors import NotFound as NotFound
    from salerno.kernel.errors import Refused as Refused
    from salerno.kernel.errors import SalernoError as SalernoError
    from salerno.kernel.errors import Unavailable as Unavailable

__version__ = "0.1.0"

_HOMES = {
    "Answer": "client.answer",
    "Application": "client.applications",
    "Conflict": "kernel.errors",
    "Dataset": "client.datasets",
    "Invalid": "kernel.errors",
    "NotFound": "kernel.errors",
    "PendingQuestion": "client.studies",
    "Permit": "client.applications",
    "Plot": "client.answer",
    "Refused": "kernel.errors",
    "SalernoError": "kernel.errors",
    "Section": "client.report",
    "Session": "client.session",
    "Study": "client.studies",
    "StudyPlan": "client.plan",
    "StudyRun": "client.runs",
    "Unavailable": "kernel.errors",
    "connect": "client.session",
    "write_report": "client.report",
}

__all__ = [  # noqa: RUF022 - in the order of a researcher's day
    "__version__",
    "connect",
    "Session",
    "Dataset",
    "Application",
    "Permit",
    "Study",
    "StudyPlan",
    "StudyRun",
    "PendingQuestion",
    "Answer",
    "Plot",
    "Section",
    "write_report",
    "SalernoError",
    "Refused",
    "NotFound",
    "Conflict",
    "Invalid",
    "Unavailable",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'salerno' has no attribute {name!r}")
    value = getattr(import_module(f"salerno.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
