"""The demo's data space: the European hub, and in each country an access body and a hospital."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from salerno.identity.model import Participant, ParticipantRole, PersonRole
from salerno.kernel.codes import DataCategory
from salerno.kernel.errors import Invalid
from salerno.nodes.assemble import Node, open_node
from salerno.nodes.demo.processes import free_ports
from salerno.nodes.settings import init_node

HOSPITALS: Mapping[str, tuple[str, str]] = {
    "FR": ("Autorité française d'accès (demo)", "Hôpital de Lyon (demo)"),
    "DE": ("Deutsche Datenzugangsstelle (demo)", "Klinikum Heidelberg (demo)"),
    "FI": ("Suomen lupaviranomainen (demo)", "Tampereen sairaala (demo)"),
    "SE": ("Svensk tillståndsmyndighet (demo)", "Uppsala sjukhus (demo)"),
    "NL": ("Nederlandse toegangsinstantie (demo)", "Ziekenhuis Utrecht (demo)"),
    "ES": ("Organismo español de acceso (demo)", "Hospital de Valencia (demo)"),
    "IT": ("Organismo italiano di accesso (demo)", "Ospedale di Salerno (demo)"),
    "PT": ("Organismo português de acesso (demo)", "Hospital de Coimbra (demo)"),
}
"""Invented names of access body and hospital by country, in the order in which the demo uses them."""

HUB = "EU"


@dataclass(frozen=True, slots=True)
class LogIn:
    """One person's log-in at one node."""

    kind: str
    url: str
    login: str
    password: str


@dataclass(frozen=True)
class Space:
    """Folders, addresses and log-ins of the demo's nodes.

    Args:
        folders: Node folder by name: ``EU``, ``FR access body``, ``FR hospital``, …
        urls: Address by the same names.
        countries: Country codes in order.
        log_ins: One per kind of person, by kind and country, e.g. ``officer FR``.
    """

    folders: dict[str, Path]
    urls: dict[str, str]
    countries: tuple[str, ...]
    log_ins: dict[str, LogIn]


def make_space(
    folder: Path, sources: Sequence[str], *, title: str, objectors: Sequence[Sequence[str]]
) -> Space:
    """Make the nodes, let them know each other, connect the hospitals' data and publish descriptions.

    Args:
        folder: Where the node folders go.
        sources: One OMOP source per hospital.
        title: What the data sets are called.
        objectors: Person identifiers by hospital who get a citizen's account each at their access body.

    Raises:
        Invalid: There are more sources than the demo has countries, or a source cannot be used.
    """
    if len(sources) > len(HOSPITALS):
        raise Invalid("demo-countries", f"The demo has {len(HOSPITALS)} countries, not {len(sources)}",
                      remedy=f"Give at most {len(HOSPITALS)} sources.")  # fmt: skip
    countries = tuple(HOSPITALS)[: len(sources)]
    names = [HUB] + [f"{country} {kind}" for country in countries for kind in ("access body", "hospital")]
    urls = dict(zip(names, (f"http://127.0.0.1:{port}" for port in free_ports(len(names))), strict=True))
    folders = {name: folder / name.lower().replace(" ", "-") for name in names}
    participants = _init_nodes(folders, urls, countries)
    log_ins: dict[str, LogIn] = {}
    for name in names:
        with open_node(folders[name]) as node:
            _admit(node, name, participants)
            for kind, (login, person_name, roles, person) in _people(name, objectors, countries).items():
                password = secrets.token_urlsafe(12)
                with node.accounts() as accounts:
                    accounts.create(login, person_name, password, roles, person=person)
                log_ins[kind] = LogIn(kind, urls[name], login, password)
            if name.endswith("hospital"):
                _connect(node, sources[countries.index(name[:2])], title)
    return Space(folders, urls, countries, log_ins)


def _init_nodes(
    folders: Mapping[str, Path], urls: Mapping[str, str], countries: Sequence[str]
) -> dict[str, Participant]:
    participants: dict[str, Participant] = {}
    for name, folder in folders.items():
        country, _, kind = name.partition(" ")
        role = {"": ParticipantRole.HUB, "access body": ParticipantRole.ACCESS_BODY}.get(
            kind, ParticipantRole.HOLDER
        )
        access_body = participants[f"{country} access body"].did if role is ParticipantRole.HOLDER else ""
        settings = init_node(
            folder,
            role=role,
            name="European health data platform (demo)"
            if name == HUB
            else HOSPITALS[country][kind == "hospital"],
            country=country,
            url=urls[name],
            access_body=access_body,
            sync_seconds=5,
        )
        participants[name] = Participant(
            did=settings.did,
            role=role,
            name=settings.name,
            country=country,
            url=settings.url,
            access_body=access_body,
        )
    return participants


def _admit(node: Node, name: str, participants: Mapping[str, Participant]) -> None:
    """Admit those whom the node deals with: the hub, its own country, fellow holders; the hub admits all."""
    for other, participant in participants.items():
        fellow = name.endswith("hospital") and other.endswith("hospital")
        if other != name and (HUB in (name, other) or name[:2] == other[:2] or fellow):
            with node.trust() as trust:
                trust.admit(participant, by=node.operator)


def _people(
    name: str, objectors: Sequence[Sequence[str]], countries: Sequence[str]
) -> dict[str, tuple[str, str, tuple[PersonRole, ...], str]]:
    if name == HUB:
        return {
            "researcher": ("marie", "Marie Researcher", (PersonRole.RESEARCHER,), ""),
            "other researcher": ("otto", "Otto Other", (PersonRole.RESEARCHER,), ""),
            "operator": ("olga", "Olga Operator", (PersonRole.OPERATOR,), ""),
        }
    country = name[:2]
    if name.endswith("hospital"):
        return {
            f"steward {country}": ("stella", "Stella Steward", (PersonRole.STEWARD, PersonRole.OPERATOR), "")
        }
    people: dict[str, tuple[str, str, tuple[PersonRole, ...], str]] = {
        f"officer {country}": ("oscar", "Oscar Officer", (PersonRole.OFFICER, PersonRole.OPERATOR), ""),
        f"second officer {country}": ("olga", "Olga Officer", (PersonRole.OFFICER,), ""),
    }
    for number, person in enumerate(objectors[countries.index(country)], start=1):
        people[f"citizen {country} {number}"] = (
            f"citizen{number}",
            f"Citizen {number}",
            (PersonRole.CITIZEN,),
            person,
        )
    return people


def _connect(node: Node, source: str, title: str) -> None:
    holding = node.holding_desk.connect(
        "omop",
        source,
        node.operator,
        kind="omop",
        title=f"{title}, {node.own.name}",
        description=f"{title} in the OMOP common data model, as {node.own.name} keeps it.",
    )
    node.publish(
        holding.id,
        node.operator,
        categories=(DataCategory.EHRS,),
        keywords=("OMOP", "drug safety", "gastrointestinal haemorrhage", "celecoxib", "diclofenac"),
        provenance="Records of routine care, mapped to OMOP by the hospital",
        population_coverage="Patients treated at the hospital",
    )
