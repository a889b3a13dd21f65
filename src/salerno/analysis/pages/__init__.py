"""Pages of analysis at the hub: studies, questions, answers."""

from __future__ import annotations

from pathlib import Path

from litestar.types import ControllerRouterHandler

from salerno.adapters.database import Opens
from salerno.analysis.pages import downloads, questions, studies
from salerno.analysis.pages.downloads import Documents
from salerno.analysis.pages.methods import method_labels
from salerno.analysis.pages.studies import PermitsOf
from salerno.analysis.service.coordinator import Coordinator
from salerno.analysis.service.ports import Rehearse
from salerno.catalogue.service import Catalogue
from salerno.web.layout import Pages

__all__ = ["TEMPLATES", "method_labels", "routes"]

TEMPLATES = Path(__file__).parent.with_name("templates")


def routes(
    pages: Pages,
    coordinator: Coordinator,
    permits_of: PermitsOf,
    open_catalogue: Opens[Catalogue],
    rehearse: Rehearse,
    documents: Documents,
) -> list[ControllerRouterHandler]:
    """The pages of a hub.

    Args:
        pages: The frame.
        coordinator: Leads the questions.
        permits_of: The permits that name an account, with their present state.
        open_catalogue: Opens the catalogue in a transaction.
        rehearse: Answers a question on synthetic rows.
        documents: Makes the files that are taken away.
    """
    return [
        *studies.routes(pages, coordinator, permits_of, open_catalogue, rehearse),
        *downloads.routes(coordinator, permits_of, documents),
        *questions.routes(pages, coordinator),
    ]
