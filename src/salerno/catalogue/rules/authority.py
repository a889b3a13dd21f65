"""Whose data set it is to tell: a source speaks for itself and for those in its charge, for nobody else."""

from __future__ import annotations

from collections.abc import Iterable

from salerno.catalogue.model import Agent, DatasetDescription, Finding, Level
from salerno.identity.model import Participant, ParticipantRole

RULE = "EHDS Art. 60(3), 77(1)"


def is_agent(participant: Participant, agent: Agent) -> bool:
    """Whether the agent of a description is this participant: by its DID, or by an IRI under its address."""
    return agent.iri == participant.did or is_under(participant.url, agent.iri)


def is_under(url: str, iri: str) -> bool:
    """Whether an IRI lies at or below an address."""
    root = url.rstrip("/")
    return bool(root) and iri.startswith(root) and iri[len(root) : len(root) + 1] in ("", "/", "#", "?")


def check_may_tell(
    source: Participant, description: DatasetDescription, participants: Iterable[Participant] = ()
) -> Finding | None:
    """Why a source may not tell of this data set, or None when it may.

    Args:
        source: The participant whose catalogue has the description.
        description: What it tells.
        participants: All that this node has admitted; what they say about who is in charge of whom, and
            whose address is whose, binds. Empty when unknown.

    Source:
        EHDS Art. 60(3): the holder describes its data sets; Art. 77(1): the access body publishes those
        of the holders in its charge. What keeps a source from speaking for others is our own rule.
    """
    known = list(participants)
    what = _why_not(source, description, known)
    if what is None:
        squatted = next(
            (
                p
                for p in known
                if p.did != source.did
                and is_under(p.url, description.iri)
                and not is_under(source.url, description.iri)
                and not is_agent(p, description.holder)
            ),
            None,
        )
        if squatted is None:
            return None
        what = f"its IRI lies under the address of {squatted.name}, which is not its holder"
    return Finding(
        level=Level.MANDATORY,
        dataset=description.iri,
        property="geodcatap:custodian",
        what=f"{source.name} may not tell of it: {what}",
        remedy="Its holder or the access body in charge of the holder has to publish it.",
        rule=RULE,
    )


def _why_not(source: Participant, description: DatasetDescription, known: list[Participant]) -> str | None:
    if source.role is ParticipantRole.HOLDER:
        if is_agent(source, description.holder):
            return None
        return f"its holder is {description.holder.name}"
    if source.role is ParticipantRole.ACCESS_BODY:
        if not is_agent(source, description.access_body):
            return f"the access body in charge is {description.access_body.name}"
        holder = next((p for p in known if is_agent(p, description.holder)), None)
        if holder is not None and holder.access_body and holder.access_body != source.did:
            return "another access body is in charge of its holder"
        return None
    return f"a {source.role.value} holds no data and is in charge of no holder"
