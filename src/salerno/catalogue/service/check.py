"""Check of a DCAT file that anyone may have made."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from salerno.catalogue.model import Finding
from salerno.catalogue.rules import check_description
from salerno.catalogue.wire import check_graph, read_graph
from salerno.kernel.errors import Invalid, NotFound, Unavailable
from salerno.standards.dcat import parse_graph

_MEDIA_TYPES = {
    ".ttl": "text/turtle",
    ".jsonld": "application/ld+json",
    ".json": "application/ld+json",
    ".rdf": "application/rdf+xml",
    ".xml": "application/rdf+xml",
    ".owl": "application/rdf+xml",
    ".nt": "application/n-triples",
}


def check_file(path: str | Path) -> list[Finding]:
    """Findings on every data set of a DCAT file, data set by data set.

    The profile's mandatory part is checked on the file itself, also where our model does not carry it;
    what is recommended, and whether texts and figures make sense, on what is read from it.

    Args:
        path: Turtle (``.ttl``), JSON-LD (``.jsonld``, ``.json``), RDF/XML (``.rdf``, ``.xml``) or N-Triples.

    Raises:
        NotFound: There is no such file.
        Unavailable: It cannot be read.
        Invalid: It has another ending, or is no RDF; the message names the line.
    """
    file = Path(path)
    media_type = _MEDIA_TYPES.get(file.suffix.lower())
    if media_type is None:
        raise Invalid(
            "rdf-file-kind",
            f"The ending {file.suffix!r} of {file.name!r} is none of an RDF file",
            remedy=f"Read are: {', '.join(_MEDIA_TYPES)}.",
        )
    try:
        data = file.read_bytes()
    except FileNotFoundError as error:
        raise NotFound("no-such-file", f"There is no file {file.name!r}") from error
    except OSError as error:
        raise Unavailable("file-unreadable", f"{file.name!r} cannot be read: {error.strerror}") from error
    # Relative IRIs are read as lying beside the file; only its name, since findings show them.
    graph = parse_graph(data, media_type, base=f"file:///{quote(file.name)}")
    found = check_graph(graph)
    named = {(finding.dataset, finding.property) for finding in found}
    reading = read_graph(graph)
    told = [*reading.findings, *(gap for d in reading.datasets for gap in check_description(d))]
    found += [gap for gap in told if (gap.dataset, gap.property) not in named]
    if not reading.has_catalogue and not reading.datasets and not found:
        raise Invalid("no-catalogue", f"{file.name!r} has neither a dcat:Catalog nor a dcat:Dataset")
    order = {iri: number for number, iri in enumerate(dict.fromkeys(finding.dataset for finding in found))}
    return sorted(found, key=lambda finding: order[finding.dataset])
