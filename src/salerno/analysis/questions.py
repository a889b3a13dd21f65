"""Reading a question: every key, column and number is checked; a wrong one is named with its neighbour."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from salerno.analysis.model import Parameter, Question, Scope
from salerno.catalogue.model import Datatype, Variable
from salerno.kernel.errors import Invalid, near

HOLDER = "holder"
"""Name of the column that every view has beside the dictionary's: the holder's name."""

CONF_LEVEL = Parameter(
    name="conf_level", label="Confidence level", kind="number", optional=True, advanced=True
)
REFERENCE = Parameter(
    name="reference",
    label="Reference level by column",
    kind="object",
    hint='As JSON, e.g. {"sex": "F"}',
    optional=True,
    advanced=True,
)
RESOLUTION = Parameter(
    name="resolution", label="Width of a tick of time", kind="number", optional=True, advanced=True
)
TIME = Parameter(name="time", label="Column with the time", default="time")
EVENT = Parameter(name="event", label="Column that says whether the event happened", default="status")
EVENT_CODES = Parameter(
    name="event",
    label="Event codes, if other than 0 and 1",
    kind="object",
    hint='As JSON, e.g. {"column": "status", "codes": [2]}',
    optional=True,
    advanced=True,
)


@dataclass(frozen=True)
class Factor:
    """A column read as categories.

    Args:
        column: Its name.
        datatype: Its type, which decides how a level is compared with the stored values.
        levels: Agreed levels; the first is the reference.
    """

    column: str
    datatype: Datatype
    levels: tuple[str, ...]

    @property
    def values(self) -> tuple[Any, ...]:
        """The levels as values of the column's type."""
        return tuple(_value(level, self.datatype) for level in self.levels)

    def index(self, value: Any) -> int:
        """Position of a stored value among the levels."""
        return self.values.index(value)

    def keeping(self, levels: Iterable[str]) -> Factor:
        """The factor with only some of its levels, in the same order."""
        kept = frozenset(levels)
        return replace(self, levels=tuple(level for level in self.levels if level in kept))


@dataclass(frozen=True)
class Event:
    """The column that says whether time ended with an event, and the codes that mean so."""

    column: str
    codes: tuple[Any, ...]
    known: tuple[Any, ...] | None


def check_keys(question: Question, parameters: Iterable[Parameter]) -> None:
    """Refuse keys that the method does not know, so that a typo never changes an answer silently.

    Raises:
        Invalid: A key is none of the method's parameters.
    """
    known = {"method", "missing", *(parameter.name for parameter in parameters)}
    for key in question:
        if key not in known:
            raise Invalid(
                "unknown-key",
                f"A {question.get('method')} question has no {key!r}",
                remedy=near(str(key), known),
            )
    missing = question.get("missing", "complete")
    if missing != "complete":
        raise Invalid("missing-rule", f"Missing values are handled by 'complete' cases, not {missing!r}")


def variable(scope: Scope, name: Any, *, role: str) -> Variable:
    """The dictionary's variable of that name; ``holder`` is one more, with the holders as levels.

    Args:
        scope: What the nodes agree on.
        name: Name of a column, as the question has it.
        role: What the question uses it as, for the error, e.g. ``time``.
    """
    if not isinstance(name, str) or not name:
        raise Invalid("wrong-type", f"{role!r} must be the name of a column, not {name!r}")
    known = scope.dictionary.variables
    if name in known:
        return known[name]
    if name == HOLDER:
        names = tuple(scope.names.get(holder, holder) for holder in scope.holders)
        return Variable(name=HOLDER, datatype=Datatype.STRING, levels=names)
    raise Invalid(
        "unknown-column", f"There is no column {name!r} for {role!r}", remedy=near(name, [*known, HOLDER])
    )


def numeric(scope: Scope, name: Any, *, role: str) -> Variable:
    """A column with numbers or booleans."""
    found = variable(scope, name, role=role)
    if not found.is_numeric:
        raise Invalid(
            "not-numeric",
            f"Column {found.name!r} holds {found.datatype.value} values; {role!r} needs numbers",
        )
    return found


def factor(scope: Scope, name: Any, *, role: str, reference: str | None = None) -> Factor:
    """A column with agreed levels, the reference level first.

    Raises:
        Invalid: The column has no agreed levels, or the reference is none of them.
    """
    found = variable(scope, name, role=role)
    levels = found.levels
    if not levels and found.datatype is Datatype.BOOLEAN:
        levels = ("false", "true")
    if not levels:
        raise Invalid(
            "not-categorical",
            f"Column {found.name!r} has no agreed levels, so it cannot be used as {role!r}",
            remedy="Use a column with few different values, each in enough persons.",
        )
    if reference is not None:
        wanted = str(reference)
        if wanted not in levels:
            raise Invalid(
                "unknown-level",
                f"Column {found.name!r} has no level {wanted!r} to be the reference",
                remedy=near(wanted, levels),
            )
        levels = (wanted, *(level for level in levels if level != wanted))
    return Factor(found.name, found.datatype, levels)


def names(question: Question, key: str, *, required: bool = True) -> tuple[str, ...]:
    """One column name or a list of them, without repetition."""
    value = question.get(key)
    if value is None or value == []:
        if required:
            raise Invalid("missing-key", f"A {question.get('method')} question needs {key!r}")
        return ()
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, (list, tuple)) or not all(isinstance(name, str) for name in listed):
        raise Invalid("wrong-type", f"{key!r} must be a column name or a list of them")
    if len(set(listed)) != len(listed):
        raise Invalid("repeated-column", f"{key!r} names a column twice")
    return tuple(listed)


def required(question: Question, key: str) -> Any:
    """The value of a key that the method cannot do without."""
    if question.get(key) is None:
        raise Invalid("missing-key", f"A {question.get('method')} question needs {key!r}")
    return question[key]


def number(
    value: Any, *, key: str, above: float = -math.inf, below: float = math.inf, closed: bool = False
) -> float:
    """A finite number between two bounds, which themselves are allowed when `closed`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Invalid("wrong-type", f"{key!r} must be a number, not {value!r}")
    inside = above <= value <= below if closed else above < value < below
    if not inside:
        raise Invalid("out-of-range", f"{key!r} must lie between {above:g} and {below:g}, not {value!r}")
    return float(value)


def whole(value: Any, *, key: str, least: int, most: int) -> int:
    """A whole number within closed bounds."""
    found = number(value, key=key, above=least, below=most, closed=True)
    if found != int(found):
        raise Invalid("wrong-type", f"{key!r} must be a whole number, not {value!r}")
    return int(found)


def numbers(value: Any, *, key: str, above: float = -math.inf, below: float = math.inf) -> tuple[float, ...]:
    """A list of numbers within closed bounds, not empty."""
    if not isinstance(value, (list, tuple)) or not value:
        raise Invalid("wrong-type", f"{key!r} must be a list of numbers")
    return tuple(number(item, key=key, above=above, below=below, closed=True) for item in value)


def choice(question: Question, key: str, allowed: tuple[Any, ...], default: Any) -> Any:
    """One of a few allowed values."""
    value = question.get(key, default)
    if value not in allowed or isinstance(value, bool) != isinstance(default, bool):
        options = ", ".join(repr(option) for option in allowed)
        near_name = near(value, [str(o) for o in allowed]) if isinstance(value, str) else ""
        raise Invalid("unknown-choice", f"{key!r} must be one of {options}, not {value!r}", remedy=near_name)
    return value


def conf_level(question: Question) -> float:
    """The confidence level, 0.95 unless told."""
    return number(question.get("conf_level", 0.95), key="conf_level", above=0.0, below=1.0)


def references(question: Question, scope: Scope) -> dict[str, str]:
    """Reference level by column from ``"reference": {"sex": "F"}``."""
    given = question.get("reference", {})
    if not isinstance(given, Mapping):
        raise Invalid("wrong-type", '\'reference\' must map columns to levels, as in {"sex": "F"}')
    for name, level in given.items():
        factor(scope, name, role="reference", reference=str(level))
    return {name: str(level) for name, level in given.items()}


def event(scope: Scope, given: Any) -> Event:
    """The event column: 0/1 or boolean, or ``{"column": "status", "codes": [2]}`` for other codes."""
    if isinstance(given, Mapping):
        unknown = set(given) - {"column", "codes"}
        codes = given.get("codes")
        if unknown or not isinstance(codes, (list, tuple)) or not codes:
            raise Invalid("event-codes", '\'event\' must be a column or {"column": …, "codes": […]}')
        found = variable(scope, given.get("column"), role="event")
        return Event(found.name, tuple(_value(str(code), found.datatype) for code in codes), None)
    found = variable(scope, given, role="event")
    if found.datatype is Datatype.BOOLEAN:
        return Event(found.name, (True,), None)
    if found.datatype in (Datatype.INTEGER, Datatype.NUMBER):
        return Event(found.name, (1,), (0, 1))
    raise Invalid(
        "event-codes",
        f"The event column {found.name!r} is neither 0/1 nor boolean",
        remedy='Say which codes are events: {"column": "…", "codes": ["dead"]}.',
    )


def _value(level: str, datatype: Datatype) -> Any:
    """A level's text as a value of the column's type."""
    try:
        if datatype is Datatype.BOOLEAN:
            return {"true": True, "1": True, "false": False, "0": False}[level.lower()]
        if datatype is Datatype.INTEGER:
            return int(level)
        if datatype is Datatype.NUMBER:
            return float(level)
    except (KeyError, ValueError):
        raise Invalid("unknown-level", f"{level!r} is no {datatype.value} value") from None
    return level
