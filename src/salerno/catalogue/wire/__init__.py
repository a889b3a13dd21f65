"""Descriptions as HealthDCAT-AP Release 8 NON_PUBLIC RDF, and back."""

from salerno.catalogue.wire.parse import Reading, parse_catalogue, read_catalogue, read_graph
from salerno.catalogue.wire.profile import check_graph
from salerno.catalogue.wire.render import render_catalogue, render_description

__all__ = [
    "Reading",
    "check_graph",
    "parse_catalogue",
    "read_catalogue",
    "read_graph",
    "render_catalogue",
    "render_description",
]
