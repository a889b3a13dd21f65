"""A data set as the catalogue describes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from salerno.kernel.errors import Invalid, near

if TYPE_CHECKING:
    import pandas as pd


class Dataset:
    """A description in the catalogue: what the data are, never the data.

    Args:
        description: The JSON of a ``DatasetDescription``.
        matches: Why a search found it.
    """

    def __init__(self, description: Mapping[str, Any], matches: Sequence[str] = ()) -> None:
        self.description = dict(description)
        self.matches = tuple(matches)

    @classmethod
    def from_hit(cls, hit: Mapping[str, Any]) -> Dataset:
        """The data set of a search hit."""
        return cls(hit["dataset"], hit.get("matches", ()))

    @property
    def iri(self) -> str:
        """Its identifier everywhere."""
        return str(self.description["iri"])

    @property
    def title(self) -> str:
        """Its title."""
        return str(self.description["title"])

    @property
    def holder(self) -> str:
        """Name of the data holder."""
        return str(self.description["holder"]["name"])

    @property
    def country(self) -> str:
        """Country of the access body that decides on it."""
        return str(self.description["access_body"]["country"])

    @property
    def n_persons(self) -> int | None:
        """Persons in it, rounded; None below the holder's threshold."""
        return self.description.get("n_persons")

    def variables(self, table: str = "") -> pd.DataFrame:
        """The variable dictionary: one row per column of the data set.

        Args:
            table: Only this table.
        """
        import pandas as pd

        self._tables([table] if table else None)
        rows = [
            {
                "table": name,
                "variable": v["name"],
                "type": v["datatype"],
                "rows": v.get("n"),
                "levels": ", ".join(v.get("levels", ())),
                "meaning": v.get("description") or v.get("title", ""),
            }
            for name, v in self._variables()
            if not table or name == table
        ]
        return pd.DataFrame(rows, columns=["table", "variable", "type", "rows", "levels", "meaning"])

    def scope(
        self,
        tables: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
        *,
        rows: Mapping[str, Any] | None = None,
        covers_from: str | None = None,
        covers_to: str | None = None,
    ) -> dict[str, Any]:
        """What an application asks for of this data set (Art. 67(2)(d)).

        Args:
            tables: Columns by table, or names of tables to ask for whole; all of it by default.
            rows: Conditions by table.
            covers_from: First date of records, ISO 8601.
            covers_to: Last date of records.

        Raises:
            Invalid: The data set has no such table or column.
        """
        return {
            "dataset": self.iri,
            "holder": str(self.description["holder"]["iri"]),
            "country": self.country,
            "tables": self._tables(tables),
            "rows": dict(rows or {}),
            "covers_from": covers_from,
            "covers_to": covers_to,
        }

    def _tables(self, wanted: Mapping[str, Sequence[str]] | Sequence[str] | None) -> dict[str, list[str]]:
        known: dict[str, list[str]] = {}
        for name, variable in self._variables():
            known.setdefault(name, []).append(variable["name"])
        if wanted is None:
            return known
        asked = (
            dict(wanted) if isinstance(wanted, Mapping) else {name: known.get(name, []) for name in wanted}
        )
        for table, columns in asked.items():
            if table not in known:
                raise Invalid(
                    "unknown-table", f"{self.title} has no table {table!r}", remedy=near(table, known)
                )
            for column in columns:
                if column not in known[table]:
                    raise Invalid(
                        "unknown-column",
                        f"Table {table!r} of {self.title} has no column {column!r}",
                        remedy=near(column, known[table]),
                    )
        return {table: list(columns) for table, columns in asked.items()}

    def _variables(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for table in self.description.get("tables", ()):
            for variable in table["variables"]:
                yield table["name"], variable

    def __repr__(self) -> str:
        persons = f", {self.n_persons} persons" if self.n_persons is not None else ""
        return f"<Dataset {self.title!r}, {self.holder} ({self.country}){persons}>"

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        yield "title", self.title
        yield "holder", self.holder
        yield "country", self.country
        yield "persons", self.n_persons
        yield "iri", self.iri

    def _repr_html_(self) -> str:
        facts = {
            "Holder": f"{self.holder} ({self.country})",
            "Persons": "not published" if self.n_persons is None else f"{self.n_persons:,}",
            "Categories": ", ".join(self.description.get("categories", ())),
            "Identifier": self.iri,
        }
        rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in facts.items())
        text = escape(str(self.description.get("description", "")))
        return f"<h3>{escape(self.title)}</h3><p>{text}</p><table>{rows}</table>"
