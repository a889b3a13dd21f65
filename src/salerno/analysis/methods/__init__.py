"""Statistical methods, one module each; every module here that has a ``NAME`` is offered by itself.

The modules are imported when `METHODS` is first read, so that the command line starts without them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any, cast

from salerno.analysis.model import Method, Question, Stage
from salerno.kernel.errors import Invalid, near
from salerno.permits.model import DisclosurePolicy


class _Methods(Mapping[str, Method]):
    """Method by name; a look-up imports that method's module alone."""

    def __init__(self) -> None:
        self._names = tuple(
            sorted(
                module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
            )
        )

    def __getitem__(self, name: str) -> Method:
        if name not in self._names:
            raise KeyError(name)
        return cast("Method", importlib.import_module(f"{__name__}.{name}"))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


METHODS: Mapping[str, Method] = _Methods()


def most_rounds(method: Method, policy: DisclosurePolicy) -> int:
    """How many rounds a question may have: a method that trains a model has a limit of its own.

    Such a method has ``TRAINS = True``. Its sums are over parts of the persons, each of which has enough of
    them, and the parts follow from the totals alone; see decision 10.
    """
    return policy.max_training_rounds if getattr(method, "TRAINS", False) else policy.max_rounds


def stages_of(method: Method, state: Any) -> tuple[Stage, ...]:
    """The stages in which a round's rows are made of the view; most methods have none."""
    made: tuple[Stage, ...] = method.stages(state) if hasattr(method, "stages") else ()
    return made


def method_of(question: Question) -> Method:
    """The method that a question asks for.

    Raises:
        Invalid: The question names no method, or one that does not exist; the nearest name is given.
    """
    name = question.get("method")
    if not isinstance(name, str) or not name:
        raise Invalid("no-method", "The question names no method", remedy=near("", METHODS))
    if name not in METHODS:
        raise Invalid("unknown-method", f"There is no method {name!r}", remedy=near(name, METHODS))
    return METHODS[name]
