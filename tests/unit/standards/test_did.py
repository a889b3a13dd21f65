"""did:web identifiers and documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salerno.adapters.keys import KeyRing
from salerno.kernel.errors import Invalid
from salerno.standards.did import (
    DidDocument,
    did_web,
    document_url,
    is_loopback,
    parse_document,
    render_document,
)

KEYS = KeyRing.generate()
DID = "did:web:fr.example"
ED, EC, X = KEYS.signing_jwk(), KEYS.signing_jwk("ES256"), KEYS.agreement_jwk()
DOCUMENT = DidDocument(
    did=DID,
    keys={f"{DID}#{ED['kid']}": ED, f"{DID}#{EC['kid']}": EC},
    agreement={f"{DID}#{X['kid']}": X},
    services={"CatalogService": "https://fr.example/catalog"},
)


@pytest.mark.parametrize(
    ("url", "did", "document"),
    [
        ("http://127.0.0.1:8101", "did:web:127.0.0.1%3A8101", "http://127.0.0.1:8101/.well-known/did.json"),
        ("http://localhost:80", "did:web:localhost", "http://localhost/.well-known/did.json"),
        ("http://[::1]:8101", "did:web:%5B%3A%3A1%5D%3A8101", "http://[::1]:8101/.well-known/did.json"),
        ("https://fr.example", "did:web:fr.example", "https://fr.example/.well-known/did.json"),
        ("https://FR.example:443/", "did:web:fr.example", "https://fr.example/.well-known/did.json"),
        (
            "https://fr.example:8443",
            "did:web:fr.example%3A8443",
            "https://fr.example:8443/.well-known/did.json",
        ),
        (
            "https://eu.example/nodes/fr",
            "did:web:eu.example:nodes:fr",
            "https://eu.example/nodes/fr/did.json",
        ),
    ],
)
def test_addresses_and_identifiers_go_together(url: str, did: str, document: str) -> None:
    assert did_web(url) == did
    assert document_url(did) == document


@pytest.mark.parametrize(
    "url",
    [
        "http://fr.example",
        "https://localhost:1",
        "ftp://fr.example",
        "fr.example",
        "https://",
        "https://a:b@fr.example",
        "https://fr.example?x=1",
        "https://fr.example:99999",
        "https://[",
    ],
)
def test_other_addresses_have_no_identifier(url: str) -> None:
    with pytest.raises(Invalid):
        did_web(url)


@pytest.mark.parametrize(
    "did",
    [
        "",
        "did:web:",
        "did:key:z6Mk",
        "web:fr.example",
        "did:web:fr.example%2Fpath",
        "did:web:user%40fr.example",
        "did:web:fr.example::x",
        "did:web:fr.example:..:x",
        "did:web:fr.example%3Ax",
        "did:web:fr.example%3Fq",
        "did:web:fr example",
    ],
)
def test_other_identifiers_have_no_address(did: str) -> None:
    with pytest.raises(Invalid):
        document_url(did)


@given(st.text(max_size=40))
def test_no_identifier_leads_anywhere_but_to_https_or_loopback(text: str) -> None:
    try:
        url = document_url("did:web:" + text)
    except Invalid:
        return
    assert url.startswith("https://") or is_loopback(url.split("/")[2].rsplit(":", 1)[0])
    assert url.endswith("/did.json")


def test_a_document_comes_back() -> None:
    assert parse_document(render_document(DOCUMENT), DID) == DOCUMENT


def test_a_document_says_what_its_keys_are_for() -> None:
    plain = json.loads(render_document(DOCUMENT))
    for purpose in ("authentication", "assertionMethod", "capabilityInvocation"):
        assert plain[purpose] == list(DOCUMENT.keys)
    assert plain["keyAgreement"] == list(DOCUMENT.agreement)
    assert {m["type"] for m in plain["verificationMethod"]} == {"JsonWebKey"}


def test_a_private_key_never_gets_into_a_document() -> None:
    leaky = DidDocument(did=DID, keys={f"{DID}#a": KEYS.private_jwk()})
    assert b'"d"' not in render_document(leaky)


def method(kid: str, jwk: dict[str, Any], controller: str = DID) -> dict[str, Any]:
    return {"id": kid, "type": "JsonWebKey2020", "controller": controller, "publicKeyJwk": jwk}


def parse(**members: Any) -> DidDocument:
    return parse_document(json.dumps({"id": DID} | members).encode(), DID)


def test_foreign_documents_are_read_too() -> None:
    found = parse(
        verificationMethod=method("#a", ED),
        assertionMethod=["#a", method(f"{DID}#b", EC), 7, "#missing"],
        capabilityInvocation=[f"{DID}#a", method("#b", EC)],
        keyAgreement=[method("#x", X), method("#p", EC)],
        service=[{"id": "s", "type": ["A", "B"], "serviceEndpoint": "https://x"}, {"type": "C"}, 1],
    )
    assert found.keys == {f"{DID}#a": ED, f"{DID}#b": EC}
    assert found.agreement == {f"{DID}#x": X}
    assert found.services == {"A": "https://x", "B": "https://x"}


def test_keys_for_other_purposes_or_of_others_do_not_sign() -> None:
    found = parse(
        verificationMethod=[method("#a", ED), method("#b", EC, "did:web:evil.example"), {"id": "#c"}, 3],
        assertionMethod=["#a", "#b", "#c"],
        authentication=["#a", "#b"],
    )
    assert found.keys == {}


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"id":"did:web:other.example"}', b"\xff"])
def test_what_is_no_document_of_the_subject_is_invalid(data: bytes) -> None:
    with pytest.raises(Invalid):
        parse_document(data, DID)
