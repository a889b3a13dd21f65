"""An access body's tariff, read from its TOML file; an error names the line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from salerno.kernel.errors import Invalid, near
from salerno.permits.model.fee import Basis, Fee, Payer, Tariff

_TOP = ("version", "valid_from", "currency", "extraction_minutes", "payment_days", "reductions", "fee")
_FEE = ("name", "label", "basis", "cents", "included", "reducible", "vat_percent")
_RULE = "EHDS Art. 62"


def parse_tariff(text: str, *, what: str = "The tariff") -> Tariff:
    """Read a tariff.

    ``version``, ``valid_from`` and one ``[[fee]]`` at least are needed; a fee has ``name``, ``label``,
    ``basis`` and ``cents``, and may have ``included``, ``reducible`` and ``vat_percent``. ``[reductions]``
    gives percent off by kind of payer. The currency is the euro.

    Args:
        text: The TOML.
        what: What it is called in errors, e.g. its path.

    Raises:
        Invalid: It is no TOML, or something in it is unknown, missing or wrong; the line is named.
    """
    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise Invalid("tariff-toml", f"{what} is not TOML: {error}") from None
    reader = _Reader(text, what)
    reader.check_names(values, _TOP, ("version", "valid_from", "fee"), "")
    if values.get("currency", "EUR") != "EUR":
        raise reader.wrong("currency", "", "Fees are in EUR")
    rows = values["fee"]
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)):
        raise reader.wrong("fee", "", "Fees are tables, each below a line [[fee]]")
    fees = tuple(_fee(reader, number, row) for number, row in enumerate(rows))
    for number, fee in enumerate(fees):
        if any(fee.name == earlier.name for earlier in fees[:number]):
            raise reader.wrong("name", _place(number), f"There are two fees {fee.name!r}")
    return Tariff(
        version=reader.take(values, "version", "", _text),
        valid_from=reader.take(values, "valid_from", "", _day),
        fees=fees,
        reductions=_reductions(reader, values.get("reductions", {})),
        extraction_minutes=reader.take(values, "extraction_minutes", "", _count, 0),
        payment_days=reader.take(values, "payment_days", "", _count, 30),
    )


def _fee(reader: _Reader, number: int, row: dict[str, Any]) -> Fee:
    place = _place(number)
    reader.check_names(row, _FEE, ("name", "label", "basis", "cents"), place)
    return Fee(
        name=reader.take(row, "name", place, _text),
        label=reader.take(row, "label", place, _text),
        basis=reader.take(row, "basis", place, lambda value: _member(value, Basis)),
        cents=reader.take(row, "cents", place, _count),
        included=reader.take(row, "included", place, _count, 0),
        reducible=reader.take(row, "reducible", place, _truth, True),
        vat_basis_points=reader.take(row, "vat_percent", place, _basis_points, 0),
    )


def _reductions(reader: _Reader, values: Any) -> Mapping[Payer, int]:
    if not isinstance(values, dict):
        raise reader.wrong("reductions", "", "Reductions are a table, below a line [reductions]")
    kinds = [kind.value for kind in Payer if kind is not Payer.FULL]
    reader.check_names(values, kinds, (), "reductions")
    return {Payer(name): reader.take(values, name, "reductions", _percent) for name in values}


class _Reader:
    """Takes values out of the parsed tables, and finds the line of one that is wrong."""

    def __init__(self, text: str, what: str) -> None:
        self._lines = text.splitlines()
        self._what = what

    def check_names(
        self, table: Mapping[str, Any], known: Iterable[str], needed: Iterable[str], place: str
    ) -> None:
        for name in table:
            if name not in tuple(known):
                raise self.wrong(name, place, f"{name!r} is unknown", near(name, known))
        for name in needed:
            if name not in table:
                raise self.wrong("", place, f"{name!r} is missing")

    def take(
        self, table: Mapping[str, Any], name: str, place: str, read: Callable[[Any], Any], default: Any = None
    ) -> Any:
        if name not in table:
            return default
        try:
            return read(table[name])
        except ValueError as error:
            raise self.wrong(name, place, f"{name} {error}") from None

    def wrong(self, name: str, place: str, what: str, remedy: str = "") -> Invalid:
        return Invalid(
            "tariff", f"{self._what}, line {self._line(name, place)}: {what}", rule=_RULE, remedy=remedy
        )

    def _line(self, name: str, place: str) -> int:
        """Where a key stands, or its table when it is not there; 1 for the top."""
        header, _, number = place.partition("#")
        marks = [n for n, line in enumerate(self._lines) if _header(line) == header] if header else [-1]
        start = marks[min(int(number or 0), len(marks) - 1)] if marks else -1
        for n in range(start + 1, len(self._lines)):
            line = self._lines[n].strip()
            if line.startswith("["):
                if _header(line) == name:
                    return n + 1
                if header:
                    break
            if name and re.match(rf"[\"']?{re.escape(name)}[\"']?\s*=", line):
                return n + 1
        return max(start, 0) + 1


def _place(number: int) -> str:
    return f"fee#{number}"


def _header(line: str) -> str:
    found = re.match(r"\s*\[{1,2}\s*([\w-]+)\s*\]{1,2}", line)
    return found[1] if found else ""


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("should be a text")
    return value


def _day(value: Any) -> date:
    if type(value) is not date:
        raise ValueError("should be a day such as 2031-01-01, without quotes")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("should be a whole number, 0 or more")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("should be true or false")
    return value


def _percent(value: Any) -> int:
    if _count(value) > 100:
        raise ValueError("should be a percentage from 0 to 100")
    return int(value)


def _basis_points(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= 100:
        raise ValueError("should be a percentage from 0 to 100")
    points = Decimal(value) * 100
    if points != int(points):
        raise ValueError("should have two decimals at most")
    return int(points)


def _member(value: Any, kind: type[Basis]) -> Basis:
    for member in kind:
        if member.value == value:
            return member
    raise ValueError(f"{value!r} is unknown. {near(str(value), kind)}")
