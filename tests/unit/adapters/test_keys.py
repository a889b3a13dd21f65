"""Key files and what they do."""

from __future__ import annotations

import json
import pickle
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, OKPKey

from salerno.adapters.keys import KeyRing
from salerno.kernel.errors import Conflict, Invalid, Refused, Unavailable

FILES = ("ed25519.pem", "p256.pem", "x25519.pem")


def test_keys_come_back_from_their_folder(tmp_path: Path) -> None:
    made = KeyRing.create(tmp_path / "deep" / "keys")
    read = KeyRing.load(tmp_path / "deep" / "keys")
    assert read.private_jwk() == made.private_jwk()
    assert read.private_jwk("ES256") == made.private_jwk("ES256")
    assert read.agreement_jwk() == made.agreement_jwk()


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    KeyRing.create(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)
    for name in FILES:
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        assert (folder / name).read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert [p.name for p in tmp_path.iterdir()] == ["keys"]  # nothing half-made is left


@pytest.mark.parametrize("name", ["", *FILES])
def test_keys_that_others_can_read_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "keys"
    KeyRing.create(folder)
    (folder / name).chmod(0o750 if not name else 0o640)
    with pytest.raises(Refused, match="mode"):
        KeyRing.load(folder)


def test_keys_are_never_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    KeyRing.create(folder)
    before = {name: (folder / name).read_bytes() for name in FILES}
    with pytest.raises(Conflict):
        KeyRing.create(folder)
    assert {name: (folder / name).read_bytes() for name in FILES} == before
    (tmp_path / "file").touch()
    with pytest.raises(Conflict):
        KeyRing.create(tmp_path / "file")


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    KeyRing.create(tmp_path / "keys")
    assert KeyRing.load(tmp_path / "keys")


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable):
        KeyRing.create(tmp_path / "file" / "keys")


def test_missing_spoilt_or_other_keys_say_so(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    with pytest.raises(Unavailable):
        KeyRing.load(folder)
    KeyRing.create(folder)
    (folder / "p256.pem").write_bytes(b"x")
    with pytest.raises(Unavailable, match="PEM"):
        KeyRing.load(folder)
    other = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "p256.pem").write_bytes(other)
    with pytest.raises(Unavailable, match="another kind"):
        KeyRing.load(folder)
    (folder / "p256.pem").unlink()
    with pytest.raises(Unavailable):
        KeyRing.load(folder)


def test_jwks_are_those_of_a_jose_library() -> None:
    keys = KeyRing.generate()
    for alg, kind in (("EdDSA", OKPKey), ("ES256", ECKey)):
        key = kind.import_key({k: v for k, v in keys.private_jwk(alg).items() if k != "kid"})
        assert key.thumbprint() == keys.signing_jwk(alg)["kid"]
        assert key.as_dict(private=True)["d"] == keys.private_jwk(alg)["d"]
        assert "d" not in keys.signing_jwk(alg)
    assert "d" not in keys.agreement_jwk()


def test_signatures_verify() -> None:
    keys = KeyRing.generate()
    from base64 import urlsafe_b64decode

    public = Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(keys.signing_jwk()["x"] + "="))
    public.verify(keys.sign(b"text"), b"text")


def test_two_agree_and_a_third_does_not_know() -> None:
    a, b, c = KeyRing.generate(), KeyRing.generate(), KeyRing.generate()
    shared = a.agree(b.agreement_jwk())
    assert len(shared) == 32
    assert b.agree(a.agreement_jwk()) == shared
    assert c.agree(a.agreement_jwk()) != shared


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {"kty": "OKP", "crv": "X25519"},
        {"kty": "OKP", "crv": "X25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},  # the zero point: everybody would know the secret
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43},
    ],
)
def test_a_peer_key_that_gives_no_secret_is_invalid(jwk: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        KeyRing.generate().agree(jwk)


def test_nothing_private_is_shown_or_pickled() -> None:
    keys = KeyRing.generate()
    for secret in (keys.private_jwk()["d"], keys.private_jwk("ES256")["d"]):
        assert secret not in f"{keys!r} {keys} {json.dumps(keys.signing_jwk())}"
    with pytest.raises(TypeError):
        pickle.dumps(keys)
