"""Namespaces and terms, as HealthDCAT-AP Release 8 spells them."""

from __future__ import annotations

from pyoxigraph import NamedNode

PREFIXES: dict[str, str] = {
    "adms": "http://www.w3.org/ns/adms#",
    "csvw": "http://www.w3.org/ns/csvw#",
    "cv": "http://data.europa.eu/m8g/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "dcatap": "http://data.europa.eu/r5r/",
    "dct": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "eli": "http://data.europa.eu/eli/ontology#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "geodcatap": "http://data.europa.eu/930/",
    "healthdcatap": "http://healthdataportal.eu/ns/health#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

EHDS = "http://data.europa.eu/eli/reg/2025/327/oj"
"""ELI of Regulation (EU) 2025/327."""

_terms: dict[str, NamedNode] = {}


def term(name: str) -> NamedNode:
    """The node of a prefixed name, e.g. ``dct:title``.

    Raises:
        KeyError: The prefix is not one of `PREFIXES`.
    """
    node = _terms.get(name)
    if node is None:
        prefix, _, local = name.partition(":")
        node = _terms[name] = NamedNode(PREFIXES[prefix] + local)
    return node
