"""An access body's register of natural persons who opted out of secondary use (Art. 71).

The register itself holds the person's identifier in clear: the access body has the legal duty to know who
opted out, and holders' tokens must be derivable for every holder, later ones too. It is the only place:
errors, logs, jobs and audit entries name a period by a random identifier, never the person, and a holder
gets keyed tokens that no other holder can match.
"""

from __future__ import annotations

from dataclasses import replace

from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, Refused
from salerno.kernel.ids import new_id
from salerno.permits.model import OptOut, OptOutList
from salerno.permits.rules import holder_salt, opt_out_token
from salerno.permits.service.cases import CaseFile

_RULE = "EHDS Art. 71"
_SOMEBODY = "natural person"


class Objecting(CaseFile):
    """Use cases of natural persons, and of the holders that must leave them out."""

    def opt_out(self, person: str, by: str = "") -> OptOut:
        """Opt out from now on; somebody who is out already stays so, with the first receipt.

        Args:
            person: The natural person's identifier at the holders.
            by: Account identifier of who asked. It is not kept: an audit entry with it would tell every
                reader of the log who opted out.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        standing = self._standing(_checked(person))
        if standing is not None:
            return standing
        period = new_id("opt-out")
        receipt = self._audit.append(actor=_SOMEBODY, act="opted-out", subject=period, rule=_RULE)
        opt_out = OptOut(person=person.strip(), since=self._clock.now(), receipt=receipt)
        self._store.add_opt_out(period, opt_out)
        return opt_out

    def opt_in(self, person: str, by: str = "") -> OptOut:
        """Take the opt-out back, from now on; permits approved while it stood stay bound.

        Raises:
            Conflict: ``not-opted-out``.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        standing = self._standing(_checked(person))
        if standing is None:
            raise Conflict("not-opted-out", "There is no opt-out that could be taken back", rule=_RULE)
        period = self._store.opt_out_id(standing.person)
        receipt = self._audit.append(actor=_SOMEBODY, act="opted-in", subject=period, rule=_RULE)
        now = self._clock.now()
        self._store.end_opt_out(standing.person, now, receipt)
        return replace(standing, until=now, reversal_receipt=receipt)

    def opt_out_history(self, person: str) -> list[OptOut]:
        """All periods of a person in order; the last one stands when its `until` is None."""
        self._at(ParticipantRole.ACCESS_BODY)
        return self._store.opt_outs(_checked(person))

    def opt_outs_for(self, holder_did: str, *, known_revision: str = "") -> OptOutList:
        """The list for one holder, with tokens that only it can match.

        Args:
            holder_did: DID of the holder.
            known_revision: Revision that the holder has; when nothing changed since, the answer has
                this same revision, no entries and the present instant.

        Raises:
            Refused: This access body is not in charge of it.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        holder = self._peers.participant(holder_did)
        if holder.role is not ParticipantRole.HOLDER or holder.access_body != self._own.did:
            raise Refused(
                "not-your-access-body",
                f"This access body is not in charge of {holder_did}",
                rule=_RULE,
                remedy="Ask the access body that is in charge of the holder.",
            )
        salt = holder_salt(self._store.opt_out_secret(), holder_did)
        # The instant is taken before the entries are read: none that it covers can be missing.
        as_of, revision = self._clock.now(), self._store.opt_out_revision()
        entries = () if revision == known_revision else tuple(self._store.opt_outs())
        return OptOutList(
            salt_hex=salt.hex(),
            entries=tuple(
                OptOut(person=opt_out_token(salt, entry.person), since=entry.since, until=entry.until)
                for entry in entries
            ),
            as_of=as_of,
            revision=revision,
        )

    def _standing(self, person: str) -> OptOut | None:
        return next((o for o in self._store.opt_outs(person) if o.until is None), None)


def _checked(person: str) -> str:
    if not person.strip():
        raise Invalid(
            "person-missing",
            "This account is not linked to a natural person's record",
            rule=_RULE,
            remedy="Ask the access body to link it.",
        )
    return person.strip()
