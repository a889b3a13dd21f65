"""DCAT-AP 3.0.1 and HealthDCAT-AP Release 8: names, authority lists, and RDF as bytes.

What a data set *means* is mapped in ``catalogue.wire``; here are only the names that the profiles use
and the way from triples to Turtle, JSON-LD and RDF/XML and back.
"""

from salerno.standards.dcat.graph import MEDIA_TYPES, Format, Graph, parse_graph, render_graph

__all__ = ["MEDIA_TYPES", "Format", "Graph", "parse_graph", "render_graph"]
