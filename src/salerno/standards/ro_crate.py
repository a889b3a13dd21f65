"""RO-Crate: a bag of files with a description as linked data, in the Five Safes profile.

Source: RO-Crate 1.2; Five Safes RO-Crate profile 0.4 (https://w3id.org/5s-crate/0.4); BagIt 1.0 (RFC 8493).
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, Literal

CONTEXT = "https://w3id.org/ro/crate/1.2-DRAFT/context"
RO_CRATE = "https://w3id.org/ro/crate/1.2-DRAFT"
FIVE_SAFES = "https://w3id.org/5s-crate/0.4"
WORKFLOW_CRATE = "https://w3id.org/workflowhub/workflow-ro-crate/1.0"
SHA512 = "https://www.iana.org/assignments/named-information#sha-512"
METADATA = "ro-crate-metadata.json"

Phase = Literal["CheckValue", "ValidationCheck", "SignOff", "DisclosureCheck", "GenerateCheckValue"]
"""Phases of the review by their term in the Safe Haven Provenance ontology."""

Status = Literal["CompletedActionStatus", "FailedActionStatus", "ActiveActionStatus", "PotentialActionStatus"]

Entity = dict[str, Any]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same content makes the same archive, to the byte


def ref(id: str) -> dict[str, str]:
    """A reference to an entity."""
    return {"@id": id}


def refs(ids: Sequence[str]) -> list[dict[str, str]]:
    """References to entities."""
    return [ref(id) for id in ids]


class Crate:
    """A crate while it is filled: entities by identifier, and files by their path below the root.

    Args:
        root: Members of the root data entity, beside ``hasPart`` and ``mentions``, which fill themselves.
        conforms_to: The profile that the crate follows.
    """

    def __init__(self, root: Mapping[str, Any], conforms_to: str = FIVE_SAFES) -> None:
        self.files: dict[str, bytes] = {}
        self._entities: dict[str, Entity] = {}
        self._parts: list[str] = []
        self._actions: list[str] = []
        self._root = {**root, "conformsTo": ref(conforms_to)}
        self.add(conforms_to, "Profile", name=_PROFILES.get(conforms_to, conforms_to))

    def add(self, id: str, type: str | list[str], **members: Any) -> str:
        """Describe something; members that are None are left out. Returns the identifier."""
        told = {name: value for name, value in members.items() if value is not None}
        self._entities[id] = {"@id": id, "@type": type, **told}
        return id

    def file(self, path: str, content: bytes, encoding_format: str, name: str, **members: Any) -> str:
        """Put a file into the crate and describe it."""
        self.files[path] = content
        self._parts.append(path)
        return self.add(
            path,
            members.pop("type", "File"),
            name=name,
            encodingFormat=encoding_format,
            contentSize=str(len(content)),
            sha512=hashlib.sha512(content).hexdigest(),
            **members,
        )

    def part(self, id: str, type: str, **members: Any) -> str:
        """Describe a folder or a remote thing that is part of the crate."""
        self._parts.append(id)
        return self.add(id, type, **members)

    def action(self, id: str, type: str, name: str, status: Status, **members: Any) -> str:
        """Describe something that was done; the root mentions it."""
        self._actions.append(id)
        return self.add(id, type, name=name, actionStatus=f"http://schema.org/{status}", **members)

    def phase(self, id: str, phase: Phase, name: str, status: Status, **members: Any) -> str:
        """Describe a phase of the review of the whole crate."""
        kind = "UpdateAction" if phase == "GenerateCheckValue" else "AssessAction"
        members.setdefault("object", ref("./"))
        return self.action(
            id, kind, name, status, additionalType=ref(f"https://w3id.org/shp#{phase}"), **members
        )

    def metadata(self) -> bytes:
        """The metadata file."""
        descriptor = {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": ref("./"),
            "conformsTo": ref(RO_CRATE),
        }
        root = {"@id": "./", "@type": "Dataset", **self._root, "hasPart": refs(self._parts)}
        if self._actions:
            root["mentions"] = refs(self._actions)
        graph = [descriptor, root, *self._entities.values()]
        text = json.dumps({"@context": CONTEXT, "@graph": graph}, indent=1, ensure_ascii=False)
        return text.encode() + b"\n"

    def bag(self, folder: str, identifier: str, info: Mapping[str, str]) -> bytes:
        """The crate as a ZIP archive with one BagIt folder.

        Args:
            folder: Name of the folder.
            identifier: ``External-Identifier``, a UUID URN.
            info: Further lines of ``bag-info.txt``, e.g. ``Bagging-Date``.
        """
        payload = {f"data/{path}": content for path, content in self.files.items()}
        payload[f"data/{METADATA}"] = self.metadata()
        size = sum(map(len, payload.values()))
        told = {"External-Identifier": identifier, "Payload-Oxum": f"{size}.{len(payload)}", **info}
        tags = {
            "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
            "bag-info.txt": "".join(f"{name}: {_one_line(text)}\n" for name, text in told.items()).encode(),
            "manifest-sha512.txt": _manifest(payload),
        }
        tags["tagmanifest-sha512.txt"] = _manifest(tags)
        return _zipped({f"{folder}/{path}": content for path, content in {**tags, **payload}.items()})


_PROFILES = {
    FIVE_SAFES: "Five Safes RO-Crate profile",
    WORKFLOW_CRATE: "Workflow RO-Crate profile",
}


def _manifest(files: Mapping[str, bytes]) -> bytes:
    lines = (f"{hashlib.sha512(files[path]).hexdigest()}  {_escaped(path)}\n" for path in sorted(files))
    return "".join(lines).encode()


def _escaped(path: str) -> str:
    return path.replace("%", "%25").replace("\n", "%0A").replace("\r", "%0D")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _zipped(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()
