"""An access body's register of natural persons who opted out of secondary use (Art. 71).

The register itself holds the person's identifier in clear: the access body has the legal duty to know who
opted out, and holders' tokens must be derivable for every holder, later ones too. It is the only place:
errors, logs, jobs and audit entries name a period by a random identifier, never the person, and a holder
gets keyed tokens that no other holder can match.
"""

from __future__ import annotations

from dataclasses import replace

from salerno.audit.model import Receipt
from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused
from salerno.kernel.ids import new_id
from salerno.permits.model import OptOut, OptOutLevel, OptOutList
from salerno.permits.rules import covers, level_named, list_salt, opt_out_list
from salerno.permits.service.cases import CaseFile, no_such_permit

_RULE = "EHDS Art. 71"
_SOMEBODY = "natural person"


class Objecting(CaseFile):
    """Use cases of natural persons, and of the holders that must leave them out."""

    @property
    def opt_out_levels(self) -> tuple[OptOutLevel, ...]:
        """What one can opt out from in this country; all secondary use is the first."""
        return self._objections.levels

    def opt_out(self, person: str, by: str = "", *, level: str = "") -> OptOut:
        """Opt out from now on; somebody who is out already stays so, with the first receipt.

        Args:
            person: The natural person's identifier at the holders.
            by: Account identifier of who asked. It is not kept: an audit entry with it would tell every
                reader of the log who opted out.
            level: Name of one of `opt_out_levels`.

        Raises:
            Invalid: ``opt-out-level`` or ``person-missing``.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        level_named(level, self.opt_out_levels)
        standing = self._standing(_checked(person), level)
        if standing is not None:
            return standing
        period = new_id("opt-out")
        receipt = self._audit.append(actor=_SOMEBODY, act="opted-out", subject=period, rule=_RULE)
        opt_out = OptOut(person=person.strip(), since=self._clock.now(), level=level, receipt=receipt)
        self._store.add_opt_out(period, opt_out)
        return opt_out

    def opt_in(self, person: str, by: str = "", *, level: str = "") -> OptOut:
        """Take the opt-out back, from now on; permits approved while it stood stay bound.

        Raises:
            Conflict: ``not-opted-out``.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        standing = self._standing(_checked(person), level)
        if standing is None:
            raise Conflict("not-opted-out", "There is no opt-out that could be taken back", rule=_RULE)
        period = self._store.opt_out_id(standing.person, level)
        receipt = self._audit.append(actor=_SOMEBODY, act="opted-in", subject=period, rule=_RULE)
        now = self._clock.now()
        self._store.end_opt_out(standing.person, level, now, receipt)
        return replace(standing, until=now, reversal_receipt=receipt)

    def opt_out_history(self, person: str) -> list[OptOut]:
        """All periods of a person in order; one stands when its `until` is None."""
        self._at(ParticipantRole.ACCESS_BODY)
        return self._store.opt_outs(_checked(person))

    def opt_out_receipt(self, person: str, index: int) -> Receipt:
        """Proof that the person's own opt-out or reversal is in the log, to be checked without this node.

        Raises:
            NotFound: The entry is not about a choice of this person's.
        """
        own = {
            number
            for period in self.opt_out_history(person)
            for number in (period.receipt, period.reversal_receipt)
        }
        if index not in own:
            raise NotFound("no-such-receipt", "There is no such receipt of yours", remedy="See your history.")
        return self._audit.receipt(index)

    def opt_outs_for(self, holder_did: str, permit_id: str, dataset: str) -> OptOutList:
        """Who is left out of a holder's data set under a permit, with tokens that only it can match.

        Args:
            holder_did: DID of the holder.
            permit_id: A permit for its data.
            dataset: IRI of the data set, one of the permit's.

        Raises:
            Refused: ``not-your-access-body``: this one is not in charge of the holder.
            NotFound: The permit does not exist, or is not for that data set of the holder's.
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
        issued = self._store.permit(permit_id)
        if issued is None or not any(
            scope.holder == holder_did and scope.dataset == dataset for scope in issued.permit.data
        ):
            raise no_such_permit()
        permit = issued.permit
        salt = list_salt(self._store.secret("opt-out"), holder_did, permit.id, dataset)
        # The instant is taken before the register is read: nobody who had opted out by then is missing.
        as_of = self._clock.now()
        if permit.opt_out_exception:
            return opt_out_list((), salt, as_of)
        categories = self._objections.categories_of(dataset)
        # A level that the country has given up since is not among these, and then binds all the more.
        free = [lev.name for lev in self.opt_out_levels if not covers(lev, permit.purpose, categories)]
        return opt_out_list(self._store.opted_out(permit.approved_at, except_levels=free), salt, as_of)

    def _standing(self, person: str, level: str) -> OptOut | None:
        periods = self._store.opt_outs(person)
        return next((o for o in periods if o.until is None and o.level == level), None)


def _checked(person: str) -> str:
    if not person.strip():
        raise Invalid(
            "person-missing",
            "This account is not linked to a natural person's record",
            rule=_RULE,
            remedy="Ask the access body to link it.",
        )
    return person.strip()
