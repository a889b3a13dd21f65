"""did:web identifiers and DID documents (W3C DID Core 1.0, did:web method)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from salerno.kernel.errors import Invalid
from salerno.kernel.values import canonical, from_json

CONTEXTS = ("https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/jws-2020/v1")
_SIGNING = ("authentication", "assertionMethod", "capabilityInvocation")


@dataclass(frozen=True, slots=True, kw_only=True)
class DidDocument:
    """What a DID document says that we use.

    Args:
        did: Its subject.
        keys: Public signing keys as JWK by full identifier (``did:web:…#kid``), allowed in
            ``capabilityInvocation`` (messages) and ``assertionMethod`` (credentials) alike.
        agreement: Public X25519 keys by full identifier.
        services: Endpoint address by type of service.
    """

    did: str
    keys: Mapping[str, dict[str, Any]]
    agreement: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)


def did_web(url: str) -> str:
    """The did:web identifier of a node's base address; the port's colon is escaped.

    >>> did_web("http://127.0.0.1:8101")
    'did:web:127.0.0.1%3A8101'
    >>> did_web("https://example.org/nodes/fr")
    'did:web:example.org:nodes:fr'

    Raises:
        Invalid: The address is not http or https, or plain http beyond this machine.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise Invalid("did-url", f"{url!r} is not an address") from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment or parts.username:
        raise Invalid("did-url", f"{url!r} is not the base address of a node")
    if parts.scheme == "http" and not is_loopback(host):
        raise Invalid("did-url", f"{url!r} must use https", rule="did:web method, 2.4", remedy="Use https.")
    if parts.scheme == "https" and is_loopback(host):
        raise Invalid(
            "did-url", f"{url!r} must use http: loopback names are looked up by it", remedy="Use http."
        )
    name = f"[{host}]" if ":" in host else host
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        name += f":{port}"
    segments = [quote(name, safe=""), *(s for s in parts.path.split("/") if s)]
    return "did:web:" + ":".join(segments)


def document_url(did: str) -> str:
    """Where a did:web document lies: plain http on this machine's loopback, https anywhere else.

    >>> document_url("did:web:127.0.0.1%3A8101")
    'http://127.0.0.1:8101/.well-known/did.json'
    >>> document_url("did:web:example.org:nodes:fr")
    'https://example.org/nodes/fr/did.json'

    Raises:
        Invalid: It is no did:web identifier.
    """
    method = "did:web:"
    host_text, *path = did.removeprefix(method).split(":")
    authority = unquote(host_text)
    try:
        host = urlsplit(f"//{authority}").hostname or ""
        _ = urlsplit(f"//{authority}").port
    except ValueError:
        host = ""
    if (
        not did.startswith(method)
        or not host
        or set(authority) & set("/?#@\\ ")
        or ".." in path
        or "" in path
    ):
        raise Invalid("did", f"{did!r} is not a did:web identifier", remedy="An example: did:web:example.org")
    scheme = "http" if is_loopback(host) else "https"
    return f"{scheme}://{authority}/{'/'.join(path) if path else '.well-known'}/did.json"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def render_document(document: DidDocument) -> bytes:
    """The document as JSON; every signing key in authentication, assertion and capability invocation."""
    methods = [
        {
            "id": kid,
            "type": "JsonWebKey",
            "controller": document.did,
            "publicKeyJwk": {k: v for k, v in jwk.items() if k != "d"},
        }
        for kid, jwk in (*document.keys.items(), *document.agreement.items())
    ]
    return canonical(
        {
            "@context": list(CONTEXTS),
            "id": document.did,
            "verificationMethod": methods,
            **{purpose: list(document.keys) for purpose in _SIGNING},
            "keyAgreement": list(document.agreement),
            "service": [
                {"id": f"{document.did}#{kind}", "type": kind, "serviceEndpoint": endpoint}
                for kind, endpoint in document.services.items()
            ],
        }
    )


def parse_document(data: bytes, did: str) -> DidDocument:
    """Read a DID document.

    Only keys that the subject itself controls and that stand in both ``capabilityInvocation`` and
    ``assertionMethod`` count as signing keys; methods may be embedded or referred to.

    Args:
        data: JSON text.
        did: The subject that it must be about.

    Raises:
        Invalid: It is not a document about that subject.
    """
    plain = from_json(data, dict[str, Any], what="the DID document")
    if plain.get("id") != did:
        raise Invalid("did-subject", f"The DID document is not about {did}", rule="DID Core 5.1.1")
    listed = _methods(plain.get("verificationMethod"), did)
    purposes = {
        purpose: _purpose(plain.get(purpose), did, listed)
        for purpose in ("assertionMethod", "capabilityInvocation", "keyAgreement")
    }
    both = purposes["assertionMethod"].keys() & purposes["capabilityInvocation"].keys()
    services = {}
    for service in _list(plain.get("service")):
        if isinstance(service, dict) and isinstance(service.get("serviceEndpoint"), str):
            for kind in _list(service.get("type")):
                services[str(kind)] = service["serviceEndpoint"]
    return DidDocument(
        did=did,
        keys={k: jwk for k, jwk in purposes["assertionMethod"].items() if k in both},
        agreement={k: jwk for k, jwk in purposes["keyAgreement"].items() if jwk.get("crv") == "X25519"},
        services=services,
    )


def _methods(value: object, did: str) -> dict[str, dict[str, Any]]:
    found = {}
    for method in _list(value):
        if not isinstance(method, dict) or method.get("controller") != did:
            continue
        jwk = method.get("publicKeyJwk")
        if isinstance(jwk, dict) and isinstance(method.get("id"), str):
            found[_absolute(method["id"], did)] = {k: v for k, v in jwk.items() if k != "d"}
    return found


def _purpose(value: object, did: str, listed: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {}
    for item in _list(value):
        if isinstance(item, dict):
            found.update(_methods(item, did))
        elif isinstance(item, str) and (kid := _absolute(item, did)) in listed:
            found[kid] = listed[kid]
    return found


def _absolute(identifier: str, did: str) -> str:
    return f"{did}{identifier}" if identifier.startswith("#") else identifier


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
