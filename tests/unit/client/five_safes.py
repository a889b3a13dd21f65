"""Checks an archive against what the Five Safes RO-Crate profile 0.4 demands (its MUSTs, most SHOULDs)."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any

PHASES = {"CheckValue", "ValidationCheck", "SignOff", "DisclosureCheck", "GenerateCheckValue"}
STATES = {"PotentialActionStatus", "ActiveActionStatus", "CompletedActionStatus", "FailedActionStatus"}
Graph = dict[str, dict[str, Any]]


def faults(archive: bytes, *, published: bool) -> list[str]:
    """What is wrong with a crate; nothing for a good one.

    Args:
        archive: The ZIP.
        published: Whether it was executed and published, not only requested.
    """
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        files = {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}
    tops = {name.partition("/")[0] for name in files}
    if len(tops) != 1:
        return ["the archive has more than one folder at its top"]
    bag = {name.partition("/")[2]: content for name, content in files.items()}
    found = list(_bag(bag))
    if "data/ro-crate-metadata.json" not in bag:
        return [*found, "no metadata file"]
    metadata = json.loads(bag["data/ro-crate-metadata.json"])
    graph: Graph = {entity["@id"]: entity for entity in metadata["@graph"]}
    return [*found, *_crate(graph, bag), *(_published(graph, bag) if published else ())]


def _bag(bag: dict[str, bytes]) -> Iterator[str]:
    version = re.match(rb"BagIt-Version: (\d+)\.\d+\s", bag.get("bagit.txt", b""), re.I)
    if version is None or int(version[1]) < 1:
        yield "bagit.txt does not say BagIt 1.0"
    if not re.search(rb"^External-Identifier: urn:uuid:[0-9a-f-]{36}$", bag.get("bag-info.txt", b""), re.M):
        yield "bag-info.txt has no UUID as External-Identifier"
    payload = {name for name in bag if name.startswith("data/")}
    for manifest, covers in (("manifest-sha512.txt", payload), ("tagmanifest-sha512.txt", None)):
        lines = dict(
            reversed(line.split(maxsplit=1)) for line in bag.get(manifest, b"").decode().splitlines()
        )
        if not lines:
            yield f"{manifest} is missing"
        if covers is not None and set(lines) != covers:
            yield f"{manifest} does not list what is there: {sorted(set(lines) ^ covers)}"
        for name, told in lines.items():
            if hashlib.sha512(bag.get(name, b"")).hexdigest() != told:
                yield f"the checksum of {name} is wrong"


def _ids(value: Any) -> list[str]:
    listed = value if isinstance(value, list) else [value] if value is not None else []
    return [each if isinstance(each, str) else each["@id"] for each in listed]


def _types(entity: dict[str, Any]) -> set[str]:
    types = entity.get("@type", [])
    return {types} if isinstance(types, str) else set(types)


def _crate(graph: Graph, bag: dict[str, bytes]) -> Iterator[str]:
    descriptor, root = graph["ro-crate-metadata.json"], graph.get("./", {})
    if not any(id.startswith("https://w3id.org/ro/crate/1.2") for id in _ids(descriptor.get("conformsTo"))):
        yield "the descriptor does not say RO-Crate 1.2"
    if _ids(descriptor.get("about")) != ["./"] or "Dataset" not in _types(root):
        yield "the root is not the data set ./"
    if "https://w3id.org/5s-crate/0.4" not in _ids(root.get("conformsTo")):
        yield "the root does not name the profile"
    main = graph.get((_ids(root.get("mainEntity")) or [""])[0], {})
    if "https://w3id.org/workflowhub/workflow-ro-crate/1.0" not in _ids(main.get("conformsTo")):
        yield "the main entity is no workflow crate"
    mentioned = [graph.get(id, {}) for id in _ids(root.get("mentions"))]
    creations = [entity for entity in mentioned if "CreateAction" in _types(entity)]
    if not creations:
        yield "no execution is mentioned"
    for action in creations:
        if _ids(action.get("instrument")) != [main.get("@id")]:
            yield f"{action['@id']} does not execute the main entity"
        agent = graph.get((_ids(action.get("agent")) or [""])[0], {})
        if "Person" not in _types(agent) or not agent.get("affiliation"):
            yield f"{action['@id']} has no person with an affiliation as its agent"
        for id in [*_ids(action.get("object")), *_ids(action.get("result"))]:
            if id not in graph:
                yield f"{id} of {action['@id']} is not described"
    project = graph.get((_ids(root.get("sourceOrganization")) or [""])[0], {})
    if "Project" not in _types(project):
        yield "the root has no project"
    for entity in graph.values():
        if {"File"} <= _types(entity) and f"data/{entity['@id']}" not in bag and ":" not in entity["@id"]:
            yield f"{entity['@id']} is described and not there"
        if ".." in entity["@id"].split("/"):
            yield f"{entity['@id']} lies outside of the crate"


def _published(graph: Graph, bag: dict[str, bytes]) -> Iterator[str]:
    root = graph["./"]
    for name in ("datePublished", "publisher", "license"):
        if name not in root:
            yield f"the root has no {name}"
    parts = set(_ids(root["hasPart"]))
    parts |= {inner for part in parts for inner in _ids(graph[part].get("hasPart"))}
    actions = [graph[id] for id in _ids(root["mentions"])]
    for action in actions:
        if not action.get("name"):
            yield f"{action['@id']} has no name"
        if not {s.rpartition("/")[2] for s in _ids(action.get("actionStatus"))} <= STATES:
            yield f"{action['@id']} has no known status"
        if "AssessAction" in _types(action):
            if "./" not in _ids(action.get("object")):
                yield f"{action['@id']} does not assess the crate"
            if not re.fullmatch(
                r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", action["endTime"]
            ):
                yield f"{action['@id']} does not say when it ended"
        for id in _ids(action.get("result")):
            if id not in parts:
                yield f"{id} is a result and no part of the crate"
        for id in [*_ids(action.get("agent")), *_ids(action.get("instrument"))]:
            if id not in graph:
                yield f"{id} of {action['@id']} is not described"
            elif "SoftwareApplication" in _types(graph[id]) and "provider" not in graph[id]:
                yield f"{id} acts and has no provider"
    done = {_ids(a["additionalType"])[0].rpartition("#")[2] for a in actions if "additionalType" in a}
    if not done <= PHASES:
        yield f"unknown phases {sorted(done - PHASES)}"
    for phase in ("SignOff", "DisclosureCheck", "GenerateCheckValue"):
        if phase not in done:
            yield f"no phase {phase}"
    if "data/ro-crate-metadata.json" in bag and b"secret" in bag["data/ro-crate-metadata.json"]:
        yield "a secret is in the metadata"
