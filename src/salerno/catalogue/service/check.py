"""Check of a DCAT file that anyone may have made."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from salerno.catalogue.model import Finding
from salerno.catalogue.rules import check_description
from salerno.catalogue.wire import read_catalogue
from salerno.kernel.errors import Invalid, NotFound, Unavailable

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
    """Findings on every data set of a DCAT file, in the file's order.

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
    reading = read_catalogue(data, media_type, base=f"file:///{quote(file.name)}")
    found = list(reading.findings)
    for description in reading.datasets:
        found += check_description(description)
    return found
