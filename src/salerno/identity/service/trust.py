"""Whom this node trusts: participants, their messages and their credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from salerno.identity.model import Credential, MessageClaims, Participant, ParticipantRole
from salerno.identity.rules import (
    check_message,
    check_participant,
    claimed_sender,
    key_named_by,
    replayed,
    unknown_sender,
)
from salerno.identity.service.ports import Journal
from salerno.kernel.errors import NotFound, Refused
from salerno.kernel.time import Clock
from salerno.standards.did import DidDocument
from salerno.standards.vc import issuer_of, parse_credential


class KeyResolver(Protocol):
    """Finds the public keys of a DID."""

    def knows(self, did: str, *, kid: str = "") -> bool:
        """Whether `resolve` answers at once, without a request."""

    def resolve(self, did: str, *, kid: str = "") -> DidDocument:
        """The DID's document; when it does not list the key `kid`, a fresher one is looked for.

        Raises:
            Unavailable: It cannot be had.
            NotFound: There is none.
        """


class TrustStore(Protocol):
    """What `Trust` needs of its store, within one transaction."""

    def participant(self, did: str) -> Participant | None:
        """The admitted participant of that DID."""

    def participants(self, role: ParticipantRole | None) -> list[Participant]:
        """Admitted participants, by country and name."""

    def put_participant(self, participant: Participant, admitted_at: datetime) -> None:
        """Keep a participant, new or changed."""

    def remove_participant(self, did: str) -> None:
        """Forget a participant."""

    def burn(self, message: MessageClaims) -> bool:
        """Note that a message came; answers whether it is the first time."""

    def forget_messages(self, now: datetime) -> None:
        """Forget the burnt messages that have expired."""


class Trust:
    """The participants that this node has admitted; whoever is not among them is refused.

    Args:
        store: Where they are kept.
        audit: The log of the same transaction.
        clock: Gives the present instant.
        resolver: Finds public keys.
        own_did: This node.
    """

    def __init__(
        self, store: TrustStore, audit: Journal, clock: Clock, resolver: KeyResolver, own_did: str
    ) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self.resolver = resolver
        self.own_did = own_did

    def admit(self, participant: Participant, by: str) -> None:
        """Admit a participant, or take over changes to one; admitting it again changes nothing.

        Raises:
            Invalid: Its members do not make sense together.
        """
        check_participant(participant)
        known = self._store.participant(participant.did)
        if known == participant:
            return
        self._store.put_participant(participant, self._clock.now())
        self._audit.append(
            actor=by,
            act="participant-admitted" if known is None else "participant-changed",
            subject=participant.did,
            detail={"role": participant.role.value, "country": participant.country, "url": participant.url},
        )

    def expel(self, did: str, by: str, reason: str) -> None:
        """Take an admission back; the participant's messages and credentials are refused from now on.

        Raises:
            NotFound: It is not admitted.
        """
        self.participant(did)
        self._store.remove_participant(did)
        self._audit.append(actor=by, act="participant-expelled", subject=did, detail={"reason": reason})

    def participant(self, did: str) -> Participant:
        """An admitted participant.

        Raises:
            NotFound: It is not admitted.
        """
        found = self._store.participant(did)
        if found is None:
            raise NotFound(
                "participant-unknown",
                "There is no such participant",
                remedy="Ask the node's operator to admit it.",
            )
        return found

    def participants(self, role: ParticipantRole | None = None) -> list[Participant]:
        """All admitted participants, or those of one role, by country and name."""
        return self._store.participants(role)

    def sender(self, token: str) -> Participant:
        """The admitted participant that a message claims to be from, NOT verified.

        Raises:
            Refused: It names none (``message-sender``), or one that is not admitted
                (``message-unknown-sender``).
        """
        found = self._store.participant(claimed_sender(token))
        if found is None:
            raise unknown_sender()
        return found

    def check_message(
        self, token: str, sender: Participant, *, method: str, url: str, body: bytes
    ) -> MessageClaims:
        """Check everything about a message but whether it came before; reads keys, so in no transaction.

        Args:
            token: What stood in ``Authorization: Bearer``.
            sender: Whom it claims to be from; see `sender`.
            method: HTTP method.
            url: Path with query.
            body: The body's bytes.

        Raises:
            Refused: Codes of `rules.check_message`.
            Unavailable: The sender's keys cannot be had.
        """
        return check_message(
            token,
            self.resolver.resolve(sender.did, kid=key_named_by(token)),
            own_did=self.own_did,
            method=method,
            url=url,
            body=body,
            now=self._clock.now(),
        )

    def has_keys(self, token: str, sender: Participant) -> bool:
        """Whether `check_message` can do without a request to the sender."""
        return self.resolver.knows(sender.did, kid=key_named_by(token))

    def burn_messages(self, messages: Sequence[MessageClaims]) -> list[Participant | Refused]:
        """Count checked messages; each counts once, and only while its sender is admitted.

        Returns:
            For each its sender, or why it does not count: ``message-unknown-sender`` or
            ``message-replayed``.
        """
        self._store.forget_messages(self._clock.now())
        senders = {did: self._store.participant(did) for did in {message.sender for message in messages}}
        found: list[Participant | Refused] = []
        for message in messages:
            sender = senders[message.sender]
            if sender is None:
                found.append(unknown_sender())
            else:
                found.append(sender if self._store.burn(message) else replayed())
        return found

    def record_refusal(self, token: str, *, method: str, path: str, reason: str) -> None:
        """Write down that a message was refused; call it in a transaction of its own.

        Args:
            token: The refused token; its claimed sender is named only if admitted.
            method: HTTP method.
            path: Path without the query.
            reason: Code of the refusal.
        """
        try:
            actor = self.sender(token).did
        except Refused:
            actor = "unknown"
        self._audit.append(
            actor=actor,
            act="message-refused",
            subject=self.own_did,
            detail={"reason": reason, "method": method[:10], "path": path[:200]},
        )

    def signing_keys(self, did: str) -> list[Mapping[str, Any]]:
        """Public signing keys of an admitted participant, as JWK.

        Raises:
            NotFound: Nobody of that DID is admitted.
            Unavailable: They cannot be had.
        """
        return list(self.resolver.resolve(self.participant(did).did).keys.values())

    def verify_credential(self, token: str, *, type: str) -> Credential:
        """Check a credential: its issuer is admitted, its signature holds, it is valid now, of that type.

        Raises:
            Refused: ``credential-issuer``, ``credential-type``, ``credential-expired``,
                ``credential-not-yet-valid`` or a ``token-…`` code.
            Invalid: It is no credential.
        """
        issuer = issuer_of(token)
        if self._store.participant(issuer) is None:
            raise Refused(
                "credential-issuer",
                "The credential is from nobody whom this node has admitted",
                remedy="Ask the node's operator to admit its issuer.",
            )
        document = self.resolver.resolve(issuer, kid=key_named_by(token))
        found = parse_credential(token, document.keys, at=self._clock.now())
        if type not in found.types:
            raise Refused("credential-type", f"The credential is not a {type}")
        return Credential(
            id=found.id,
            issuer=found.issuer,
            subject=found.subject,
            types=found.types,
            claims=found.claims,
            issued_at=found.issued_at,
            valid_from=found.valid_from,
            valid_until=found.valid_until,
            token=token,
        )
