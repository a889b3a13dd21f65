"""Finding a data set and reading its description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import get
from litestar.connection import Request
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.catalogue.model import DatasetDescription, TableDescription
from salerno.catalogue.service import Catalogue
from salerno.kernel.codes import COUNTRIES, DataCategory
from salerno.kernel.errors import Invalid
from salerno.web.callers import find_caller
from salerno.web.components import count_words, day_words
from salerno.web.layout import Pages
from salerno.web.tables import Table

TEMPLATES = Path(__file__).with_name("templates")
LIMIT = 100
CATEGORIES = {category.value: category for category in DataCategory}

Req = Request[Any, Any, Any]


def routes(pages: Pages, open_catalogue: Opens[Catalogue]) -> list[ControllerRouterHandler]:
    """Handlers of ``/datasets`` and ``/datasets/one``."""

    @get("/datasets", sync_to_thread=False, include_in_schema=False)
    def search(request: Req) -> Response[Any]:
        query = request.query_params
        text, category, country = (query.get(name, "").strip() for name in ("q", "category", "country"))
        variable = query.get("variable", "").strip()
        with open_catalogue() as catalogue:
            hits = catalogue.search(
                text,
                category=CATEGORIES.get(category),
                country=country if country in COUNTRIES else None,
                variable=variable or None,
                limit=LIMIT,
            )
        return pages.render(
            request,
            "catalogue/search.html",
            title="Find a data set",
            hits=hits,
            limit=LIMIT,
            asked={"q": text, "category": category, "country": country, "variable": variable},
            categories=[
                ("", "All categories"),
                *((c.value, f"({c.letter}) {c.label}") for c in DataCategory),
            ],
            countries=[("", "All countries"), *sorted(COUNTRIES.items(), key=lambda item: item[1])],
            country_names=COUNTRIES,
            may_apply=_may_apply(request),
        )

    @get("/datasets/one", sync_to_thread=False, include_in_schema=False)
    def one(request: Req) -> Response[Any]:
        iri = request.query_params.get("iri", "")
        if not iri:
            raise Invalid("dataset-not-named", "The address does not name a data set",
                          remedy="Choose one from the list of data sets.")  # fmt: skip
        with open_catalogue() as catalogue:
            dataset = catalogue.dataset(iri)
        return pages.render(
            request,
            "catalogue/dataset.html",
            title=dataset.title,
            crumbs=[("/datasets", "Find a data set")],
            dataset=dataset,
            facts=facts_of(dataset),
            tables=[(t, dictionary_table(t)) for t in dataset.tables],
            may_apply=_may_apply(request),
        )

    return [search, one]


def _may_apply(request: Req) -> bool:
    caller = find_caller(request)
    return caller is not None and "researcher" in caller.roles


def facts_of(dataset: DatasetDescription) -> list[tuple[str, str]]:
    """The description's facts in words, for a list of terms."""
    covers = " to ".join(f"{d:%B %Y}" for d in (dataset.covers_from, dataset.covers_to) if d)
    ages = " to ".join(str(a) for a in (dataset.min_age, dataset.max_age) if a is not None)
    return [
        ("Health data holder", _agent(dataset.holder.name, dataset.holder.country)),
        ("Access body to apply to", _agent(dataset.access_body.name, dataset.access_body.country)),
        ("Contact", dataset.access_body.contact.email or dataset.access_body.contact.page),
        ("Categories (Art. 51)", "; ".join(f"({c.letter}) {c.label}" for c in dataset.categories)),
        ("Persons", count_words(dataset.n_persons)),
        ("Records", count_words(dataset.n_records)),
        ("Ages", ages),
        ("Time covered", covers),
        ("Population", dataset.population_coverage),
        ("Where the data come from", dataset.provenance),
        ("Keywords", ", ".join(dataset.keywords)),
        ("Description computed on", day_words(dataset.modified)),
        ("Identifier", dataset.iri),
    ]


def _agent(name: str, country: str) -> str:
    return f"{name}, {COUNTRIES.get(country, country)}"


def dictionary_table(table: TableDescription) -> Table:
    """The variable dictionary of one table, for people."""
    meant = any(v.title or v.description for v in table.variables)
    rows = tuple(
        (
            v.name,
            *([v.title or v.description] if meant else []),
            str(v.datatype),
            count_words(v.n),
            levels_text(v.levels),
        )
        for v in table.variables
    )
    heads = ("Variable", *(["Meaning"] if meant else []), "Type", "Rows with a value", "Values")
    numeric = tuple(head == "Rows with a value" for head in heads)
    note = "Counts are rounded down; values that few persons have are not listed."
    return Table(f"Variables of {table.name}", heads, rows, numeric, note)


def levels_text(levels: tuple[str, ...], most: int = 12) -> str:
    """The first values of a categorical variable."""
    return ", ".join(levels[:most]) + (f" and {len(levels) - most} more" if len(levels) > most else "")
