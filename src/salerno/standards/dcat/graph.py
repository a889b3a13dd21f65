"""RDF as values and bytes: an index over triples that keeps the document's order, and three syntaxes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import pyoxigraph as rdf

from salerno.kernel.errors import Invalid
from salerno.standards.dcat.names import PREFIXES, term

Format = Literal["turtle", "json-ld", "rdf-xml"]

MEDIA_TYPES: Mapping[Format, str] = {
    "turtle": "text/turtle",
    "json-ld": "application/ld+json",
    "rdf-xml": "application/rdf+xml",
}

_READABLE: Mapping[str, rdf.RdfFormat] = {
    "text/turtle": rdf.RdfFormat.TURTLE,
    "application/x-turtle": rdf.RdfFormat.TURTLE,
    "application/ld+json": rdf.RdfFormat.JSON_LD,
    "application/json": rdf.RdfFormat.JSON_LD,
    "application/rdf+xml": rdf.RdfFormat.RDF_XML,
    "application/xml": rdf.RdfFormat.RDF_XML,
    "text/xml": rdf.RdfFormat.RDF_XML,
    "application/n-triples": rdf.RdfFormat.N_TRIPLES,
}

LARGEST_BYTES = 256 * 1024 * 1024
"""Largest document that is read: about 5,000 data sets with 100 variables each."""

DEEPEST = 200
"""Deepest nesting of JSON-LD and RDF/XML that is read; a framed catalogue has about ten levels."""

Node = rdf.NamedNode | rdf.BlankNode | rdf.Literal
Subject = rdf.NamedNode | rdf.BlankNode

TYPE = term("rdf:type")
_XSD = PREFIXES["xsd"]
_PLAIN = rdf.NamedNode(_XSD + "string")
_TAGGED = term("rdf:langString")
_BOOLEAN = rdf.NamedNode(_XSD + "boolean")


class Graph:
    """Triples by subject and property, each in the order of the document."""

    def __init__(self, triples: Iterable[rdf.Triple]) -> None:
        self._index: dict[Any, dict[str, list[Any]]] = {}
        self._of_class: dict[Any, dict[Any, None]] = {}
        for triple in triples:
            about = self._index.setdefault(triple.subject, {})
            about.setdefault(triple.predicate.value, []).append(triple.object)
            if triple.predicate == TYPE:
                self._of_class.setdefault(triple.object, {})[triple.subject] = None

    def subjects(self, kind: str) -> Iterator[Subject]:
        """The nodes of a class, e.g. ``dcat:Dataset``, in the order in which they are stated to be of it."""
        return iter(self._of_class.get(term(kind), {}))

    def nodes(self, subject: Any, *names: str) -> list[Any]:
        """The values of the first of the properties that has any, without repetition."""
        about = self._index.get(subject, {})
        for name in names:
            values = about.get(term(name).value)
            if values:
                return list(dict.fromkeys(values))
        return []

    def node(self, subject: Any, *names: str) -> Any:
        """The first value, or None."""
        values = self.nodes(subject, *names)
        return values[0] if values else None

    def has_type(self, subject: Any, kind: str) -> bool:
        """Whether the node is stated to be of the class."""
        return subject in self._of_class.get(term(kind), {})


def parse_graph(data: bytes, media_type: str, *, base: str = "") -> Graph:
    """Read RDF in the syntax that a media type names.

    Args:
        data: The document.
        media_type: E.g. ``text/turtle``; parameters such as ``charset`` are ignored.
        base: Address that relative IRIs are relative to; empty when unknown.

    Raises:
        Invalid: Unknown syntax, too large, or broken; the message names the line.
    """
    kind = media_type.partition(";")[0].strip().lower()
    syntax = _READABLE.get(kind)
    if syntax is None:
        raise Invalid(
            "rdf-syntax-unknown",
            f"The media type {kind!r} is no RDF syntax that is read here",
            remedy=f"Read are: {', '.join(sorted(set(_READABLE)))}.",
        )
    _check_harmless(data, syntax)
    try:
        quads = rdf.parse(data, syntax, base_iri=base or None)
        return Graph(quad.triple for quad in quads)
    except SyntaxError as error:
        raise _broken(error) from error
    except ValueError as error:
        raise Invalid("rdf-broken", f"The RDF cannot be read: {error}") from error


def _broken(error: SyntaxError) -> Invalid:
    text = str(error)
    if "LoadDocumentCallback" in text:
        return Invalid(
            "rdf-remote-context",
            "The JSON-LD names a context that lies elsewhere; nothing is fetched while reading",
            remedy="Put the context into the document, or send Turtle.",
        )
    text = re.sub(r"^Parser error at |\s*\(line \d+\)$", "", text)
    return Invalid("rdf-broken", f"The RDF cannot be read: {text}", remedy="Mend that line and try again.")


def _check_harmless(data: bytes, syntax: rdf.RdfFormat) -> None:
    """Refuse documents that would make the parser use up the machine."""
    if len(data) > LARGEST_BYTES:
        raise Invalid("rdf-too-large", f"The document is larger than {LARGEST_BYTES} bytes")
    if syntax == rdf.RdfFormat.RDF_XML and (b"<!ENTITY" in data or b"\0" in data):
        # The parser expands entities without bound: ten short lines can ask for gigabytes.
        raise Invalid(
            "rdf-entities",
            "The RDF/XML declares entities or is not UTF-8; neither is read",
            remedy="Write the entities out and save as UTF-8, or send Turtle.",
        )
    brackets = _BRACKETS.get(syntax)
    if brackets is not None and _depth(data, brackets) > DEEPEST:
        # JSON-LD is expanded by recursion, and RDF/XML takes time by the square of its depth.
        raise Invalid("rdf-too-deep", f"The document is nested deeper than {DEEPEST}")


_BRACKETS = {
    rdf.RdfFormat.JSON_LD: re.compile(
        rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|(?P<opens>[\[{])|(?P<closes>[\]}])', re.DOTALL
    ),
    rdf.RdfFormat.RDF_XML: re.compile(
        rb"<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<[?!]|(?P<closes></)"
        rb"|<(?:[^<>\"'/]++|/(?!>)|\"[^\"<]*+\"|'[^'<]*+')*+(?:/>|(?P<opens>>))",
        re.DOTALL,
    ),
}
"""Opening and closing marks of a syntax; strings, comments and empty elements are matched as neither.

Possessive, and with an end for what is never closed: a broken document must not cost its length squared.
"""


def _depth(data: bytes, brackets: re.Pattern[bytes]) -> int:
    deepest = depth = 0
    for found in brackets.finditer(data):
        if found.lastgroup == "opens":
            depth += 1
            deepest = max(deepest, depth)
        elif found.lastgroup == "closes":
            depth -= 1
    return deepest


def render_graph(triples: Iterable[rdf.Triple], syntax: Format) -> bytes:
    """Triples as a document: equal triples in equal order give equal bytes.

    Args:
        triples: Triples of one subject should follow each other, so that the document reads well.
        syntax: ``turtle``, ``json-ld`` (flattened, compacted with an inline context) or ``rdf-xml``.
    """
    if syntax == "json-ld":
        return _render_json_ld(triples)
    output = rdf.RdfFormat.TURTLE if syntax == "turtle" else rdf.RdfFormat.RDF_XML
    document = rdf.serialize(triples, format=output, prefixes=PREFIXES)
    assert document is not None
    return document if document.endswith(b"\n") else document + b"\n"


def _render_json_ld(triples: Iterable[rdf.Triple]) -> bytes:
    """JSON-LD 1.1, compacted: properties and types as prefixed names, nodes by their full IRI."""
    names = _Names()
    objects: dict[Any, dict[str, Any]] = {}
    for triple in triples:
        about = objects.get(triple.subject)
        if about is None:
            about = objects[triple.subject] = {"@id": _node_id(triple.subject)}
        if triple.predicate == TYPE:
            key, value = "@type", names.of(triple.object.value)  # type: ignore[union-attr]
        else:
            key, value = names.of(triple.predicate.value), _value(triple.object, names)
        about.setdefault(key, []).append(value)
    graph = [
        {key: v[0] if isinstance(v, list) and len(v) == 1 else v for key, v in about.items()}
        for about in objects.values()
    ]
    document = {"@context": {"@version": 1.1, **PREFIXES}, "@graph": graph}
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


class _Names(dict[str, str]):
    """Compact IRIs by IRI, remembered because a catalogue repeats few of them very often."""

    def of(self, iri: str) -> str:
        compact = self.get(iri)
        if compact is None:
            compact = iri
            for prefix, base in PREFIXES.items():
                local = iri.removeprefix(base)
                if local != iri and not local.startswith("//"):
                    compact = f"{prefix}:{local}"
                    break
            self[iri] = compact
        return compact


def _node_id(node: Any) -> str:
    return f"_:{node.value}" if isinstance(node, rdf.BlankNode) else str(node.value)


def _value(node: Any, names: _Names) -> Any:
    if not isinstance(node, rdf.Literal):
        return {"@id": _node_id(node)}
    if node.language:
        return {"@language": node.language, "@value": node.value}
    if node.datatype == _PLAIN:
        return node.value
    if node.datatype == _BOOLEAN and node.value in ("true", "false"):
        return node.value == "true"
    return {"@type": names.of(node.datatype.value), "@value": node.value}
