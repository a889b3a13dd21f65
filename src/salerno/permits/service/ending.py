"""What an access body is told at the end of a permit: that holders deleted what they kept (Art. 68(12))."""

from __future__ import annotations

from salerno.audit.model import Receipt
from salerno.audit.rules import verify_receipt
from salerno.identity.model import ParticipantRole
from salerno.kernel.errors import Refused, SalernoError
from salerno.permits.model import DataPermit, DeletionProof
from salerno.permits.service.cases import CaseFile, no_such_permit

_RULE = "EHDS Art. 68(12)"
DELETED = "permit-data-deleted"
"""The act in a holder's log."""


class Ending(CaseFile):
    """Use cases after a permit's end."""

    def prove_deleted(self, permit_id: str, receipt: Receipt, holder_did: str) -> DeletionProof:
        """Take a holder's proof that it has deleted what it kept under a permit; once more does no harm.

        Args:
            permit_id: The permit.
            receipt: Of the entry in the holder's own log.
            holder_did: DID of the holder that sent it.

        Raises:
            NotFound: There is no such permit for data of this holder.
            Refused: ``deletion-unproved``: the receipt is not signed by the holder, or proves another act.
        """
        self._at(ParticipantRole.ACCESS_BODY)
        issued = self._store.permit(permit_id)
        if issued is None or holder_did not in {scope.holder for scope in issued.permit.data}:
            raise no_such_permit()
        for known in self._store.deletions(permit_id):
            if (known.holder, known.receipt.index) == (holder_did, receipt.index):
                return known
        proof = self._proof(issued.permit, receipt, holder_did)
        self._store.add_deletion(proof)
        self._keep(
            self._found(issued.permit.application_id),
            "deletion-proved",
            holder_did,
            country=self._own.country,
            about=permit_id,
            detail={"holder": holder_did, "entry": receipt.index, "files": proof.files},
            rule=_RULE,
        )
        return proof

    def deletions(self, permit_id: str) -> list[DeletionProof]:
        """The proofs of a permit's holders, in the order in which they came."""
        self._at(ParticipantRole.ACCESS_BODY)
        if self._store.permit(permit_id) is None:
            raise no_such_permit()
        return self._store.deletions(permit_id)

    def _proof(self, permit: DataPermit, receipt: Receipt, holder: str) -> DeletionProof:
        for key in self._peers.signing_keys(holder):
            try:
                entry = verify_receipt(receipt, key)
            except SalernoError:
                continue
            if (entry.act, entry.subject, entry.actor) == (DELETED, permit.id, holder):
                return DeletionProof(
                    permit=permit.id,
                    holder=holder,
                    deleted_at=entry.at,
                    files=int(str(entry.detail.get("files", 0))),
                    receipt=receipt,
                )
        refusal = Refused(
            "deletion-unproved",
            f"The receipt of {holder} does not prove that it deleted what it kept under {permit.id}",
            rule=_RULE,
            remedy="Have the holder send a receipt of its own log.",
        )
        raise self._refuse_message(holder, permit.id, refusal)
