"""A steward's pages: connect data, describe and publish them, and choose how much answers may tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from litestar import get, post
from litestar.connection import Request
from litestar.params import FromPath
from litestar.response import Response
from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.catalogue.model import DatasetDescription
from salerno.catalogue.service import Catalogue
from salerno.holdings.model import Holding
from salerno.holdings.service import HoldingDesk, Holdings
from salerno.kernel.codes import DataCategory
from salerno.kernel.errors import SalernoError
from salerno.permits.model import DisclosurePolicy
from salerno.permits.rules import MEANINGS, PRESETS, SOURCES, preset, preset_of
from salerno.web.callers import caller_of, needs
from salerno.web.components import day_words
from salerno.web.layout import Pages, sentence
from salerno.web.sessions import Form, form_of
from salerno.web.tables import value_text

TEMPLATES = Path(__file__).with_name("templates")
CATEGORIES = {category.value: category for category in DataCategory}

Req = Request[Any, Any, Any]


def routes(
    pages: Pages,
    open_holdings: Opens[Holdings],
    desk: HoldingDesk,
    publish: Callable[[DatasetDescription, str], None],
    open_catalogue: Opens[Catalogue] | None = None,
) -> list[ControllerRouterHandler]:
    """Handlers of ``/holdings`` and below.

    Args:
        pages: The frame.
        open_holdings: Opens a transaction with the holdings.
        desk: Connects and describes outside of transactions.
        publish: Publishes a description on behalf of an account.
        open_catalogue: Opens the catalogue, to show what is published; it is not shown without.
    """
    steward = [needs("steward")]

    def show(request: Req, form: Form | None = None, errors: dict[str, str] | None = None) -> Response[Any]:
        with open_holdings() as holdings:
            connected = holdings.holdings()
        published: dict[str, DatasetDescription] = {}
        if open_catalogue is not None:
            with open_catalogue() as catalogue:
                published = {d.iri: d for d in catalogue.datasets(own_only=True)}
        return pages.render(
            request,
            "holdings/holdings.html",
            title="Holdings",
            errors=errors,
            form=form or Form({"kind": ["omop"], "min_cell": ["10"], "personal": ["yes"]}),
            rows=[_row(h, published.get(h.dataset)) for h in connected],
            kinds=[("omop", "OMOP Common Data Model"), ("tables", "Other tables")],
            categories=[(c.value, f"({c.letter}) {c.label}") for c in DataCategory],
        )

    @get("/holdings", guards=steward, sync_to_thread=False, include_in_schema=False)
    def listing(request: Req) -> Response[Any]:
        return show(request)

    # Connecting and describing read the data.
    @post("/holdings", guards=steward, sync_to_thread=True, include_in_schema=False)
    def connect(request: Req) -> Response[Any]:
        form = form_of(request)
        min_cell = form.text("min_cell")
        errors = {
            name: f"{label} is needed"
            for name, label in (("id", "The short name"), ("source", "The place of the data"))
            if not form.text(name)
        }
        if not (min_cell.isdigit() and 1 <= int(min_cell) <= 10_000):
            errors["min_cell"] = "Write a whole number of persons"
        if errors:
            return show(request, form, errors)
        try:
            holding = desk.connect(
                form.text("id"),
                form.text("source"),
                caller_of(request).id,
                kind="omop" if form.text("kind") == "omop" else "tables",
                title=form.text("title"),
                description=form.text("description"),
                person_column=form.text("person_column"),
                date_column=form.text("date_column"),
                personal=form.flag("personal"),
                policy=DisclosurePolicy(min_cell=int(min_cell)),
            )
        except SalernoError as error:
            return show(request, form, {"source": sentence(error)})
        return pages.go("/holdings", f"{holding.title} is connected. Describe it to make it known.")

    @post("/holdings/{holding_id:str}/describe", guards=steward, sync_to_thread=True, include_in_schema=False)
    def describe(request: Req, holding_id: FromPath[str]) -> Response[Any]:
        form, by = form_of(request), caller_of(request).id
        chosen = tuple(CATEGORIES[c] for c in form.many("categories") if c in CATEGORIES)
        options: dict[str, Any] = {"provenance": form.text("provenance")}
        if chosen:
            options["categories"] = chosen
        if form.text("keywords"):
            options["keywords"] = tuple(k.strip() for k in form.text("keywords").split(",") if k.strip())
        try:
            description = desk.describe(holding_id, by, **options)
            publish(description, by)
        except SalernoError as error:
            return show(request, None, {"_describe": sentence(error)})
        return pages.go("/holdings", f"The description of {description.title} is published.")

    def show_policy(request: Req, holding_id: str, errors: dict[str, str] | None = None) -> Response[Any]:
        with open_holdings() as holdings:
            holding = holdings.holding(holding_id)
        name = preset_of(holding.policy)
        return pages.render(
            request,
            "holdings/policy.html",
            title=f"Disclosure policy of {holding.title}",
            crumbs=[("/holdings", "Holdings")],
            errors=errors,
            holding=holding,
            name=name,
            source=SOURCES.get(name, ""),
            members=_members(holding.policy),
            presets=[(each, each) for each in PRESETS],
        )

    @get("/holdings/{holding_id:str}/policy", guards=steward, sync_to_thread=False, include_in_schema=False)
    def policy(request: Req, holding_id: FromPath[str]) -> Response[Any]:
        return show_policy(request, holding_id)

    @post("/holdings/{holding_id:str}/policy", guards=steward, sync_to_thread=False, include_in_schema=False)
    def set_policy(request: Req, holding_id: FromPath[str]) -> Response[Any]:
        name = form_of(request).text("preset")
        try:
            wanted = preset(name)
        except SalernoError as error:
            return show_policy(request, holding_id, {"preset": sentence(error)})
        with open_holdings() as holdings:
            holdings.set_policy(holding_id, wanted, caller_of(request).id)
        return pages.go(
            f"/holdings/{holding_id}/policy", f"The policy {name} is in force from the next question on."
        )

    return [listing, connect, describe, policy, set_policy]


def _members(policy: DisclosurePolicy) -> list[tuple[str, str, str]]:
    """Each member's name, value and meaning."""
    return [(name, value_text(getattr(policy, name)), meaning) for name, meaning in MEANINGS.items()]


def _row(holding: Holding, description: DatasetDescription | None) -> dict[str, Any]:
    return {
        "holding": holding,
        "description": description,
        "facts": [
            ("Short name", holding.id),
            ("Kind", "OMOP Common Data Model" if holding.kind == "omop" else "Tables"),
            ("Data set", holding.dataset),
            ("Smallest number of persons behind a figure", str(holding.policy.min_cell)),
            ("Connected", day_words(holding.connected_at)),
            ("Described", day_words(description.modified) if description else ""),
        ],
        "chosen": [c.value for c in description.categories] if description else ["EHRS"],
    }
