"""Descriptions as HealthDCAT-AP Release 8 NON_PUBLIC RDF, and back."""

from salerno.catalogue.wire.parse import Reading, parse_catalogue, read_catalogue
from salerno.catalogue.wire.render import render_catalogue, render_description

__all__ = ["Reading", "parse_catalogue", "read_catalogue", "render_catalogue", "render_description"]
