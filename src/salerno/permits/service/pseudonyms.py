"""Pseudonyms: the access body gives each holder the key of its permit, and alone takes one back."""

from __future__ import annotations

from dataclasses import replace

from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused
from salerno.kernel.ids import new_id
from salerno.permits.model import PermitState, PseudonymKey, Reidentification
from salerno.permits.rules import Pseudonyms, pseudonym_key
from salerno.permits.service.cases import CaseFile, no_such_permit

_RULE = "EHDS Art. 66(3)"
_FINDING = "EHDS Art. 58(3), 61(5), 66(3)"


class Pseudonymising(CaseFile):
    """Use cases of an access body, which holds the secret of all pseudonyms."""

    def pseudonym_key_for(self, holder_did: str, permit_id: str) -> PseudonymKey:
        """The key with which a holder makes the pseudonyms of a permit.

        Raises:
            NotFound: There is no such permit for data of this holder.
            Refused: ``permit-not-pseudonymised`` or ``permit-ended``.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        issued = self._store.permit(permit_id)
        if issued is None or holder_did not in {scope.holder for scope in issued.permit.data}:
            raise no_such_permit()
        if not issued.permit.pseudonymised:
            raise Refused(
                "permit-not-pseudonymised",
                f"Permit {permit_id} is for anonymised data: nobody's pseudonym may be in them",
                rule="EHDS Art. 66(1)",
                remedy="Give out what has no pseudonym.",
            )
        if self._present(issued).state is not PermitState.GRANTED:
            raise Refused("permit-ended", f"Permit {permit_id} is not in force", rule=_RULE)
        self._audit.append(actor=holder_did, act="pseudonym-key-given", subject=permit_id, rule=_RULE)
        return PseudonymKey(permit=permit_id, until=issued.permit.valid_until, key=self._key(permit_id))

    def ask_reidentification(
        self, permit_id: str, pseudonym: str, reason: str, officer: str
    ) -> Reidentification:
        """Ask to take a pseudonym back; another officer confirms it, and is told the identifier.

        Raises:
            NotFound: This access body issued no such permit.
            Invalid: There is no reason, or it is no pseudonym of the permit.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        if self._store.permit(permit_id) is None:
            raise no_such_permit()
        if not reason.strip():
            raise Invalid("reason-missing", "To take a pseudonym back needs a reason", rule=_FINDING)
        Pseudonyms(self._key(permit_id)).identifier(pseudonym)
        asked = Reidentification(
            id=new_id("reid"),
            permit=permit_id,
            reason=reason.strip(),
            asked_by=officer,
            asked_at=self._clock.now(),
            pseudonym=pseudonym.strip(),
        )
        self._store.put_reidentification(asked)
        self._log(asked, "reidentification-asked", officer)
        return replace(asked, pseudonym="")

    def confirm_reidentification(self, id: str, officer: str) -> str:
        """The identifier behind a pseudonym, once a second officer confirms; told once.

        Raises:
            NotFound: Nothing of that name was asked.
            Refused: ``own-reidentification``: the officer asked for it.
            Conflict: ``already-confirmed``.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        asked = self._store.reidentification(id)
        if asked is None:
            raise NotFound("no-such-reidentification", f"Nothing was asked as {id!r}")
        if asked.asked_by == officer:
            refusal = Refused(
                "own-reidentification",
                "A pseudonym is taken back by another officer than the one who asked",
                rule=_FINDING,
                remedy="Ask a colleague to confirm it.",
            )
            raise self._refuse_message(officer, asked.permit, refusal)
        if asked.confirmed_by:
            raise Conflict("already-confirmed", "It was confirmed before", remedy="Ask anew.")
        identifier = Pseudonyms(self._key(asked.permit)).identifier(asked.pseudonym)
        # The pseudonym is not needed any more, so it is not kept.
        done = replace(asked, confirmed_by=officer, confirmed_at=self._clock.now(), pseudonym="")
        self._store.put_reidentification(done)
        self._log(done, "reidentification-confirmed", officer)
        return identifier

    def reidentifications(self) -> list[Reidentification]:
        """All that was asked, oldest first, without the pseudonyms."""
        self._at(ParticipantRole.ACCESS_BODY)
        return [replace(one, pseudonym="") for one in self._store.reidentifications()]

    def _key(self, permit_id: str) -> bytes:
        return pseudonym_key(self._store.secret("pseudonyms"), permit_id)

    def _log(self, one: Reidentification, act: str, officer: str) -> None:
        self._audit.append(actor=officer, act=act, subject=one.permit, detail={"id": one.id}, rule=_FINDING)
