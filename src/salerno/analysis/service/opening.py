"""The holder's reply to an opening: the permit that covers it, the view, the dictionary and the policy."""

from __future__ import annotations

from salerno.analysis.methods import method_of
from salerno.analysis.model import Opened, RunOpening
from salerno.analysis.service.inbox import Drop, Inbox
from salerno.analysis.service.ports import AgentParts
from salerno.analysis.service.records import AgentRun
from salerno.analysis.service.views import OpenViews
from salerno.analysis.wire import render_signed, words_digest
from salerno.holdings.model import AccessRequest
from salerno.kernel.errors import Refused, SalernoError, Unavailable


def access_request(parts: AgentParts, opening: RunOpening, permit_token: str) -> AccessRequest:
    """What a run asks of the door."""
    return AccessRequest(
        permit_token=permit_token,
        user=opening.user,
        purpose=opening.purpose,
        environment=parts.hub,
        method=method_of(opening.question).NAME,
        frame=opening.frame,
        dataset=opening.dataset[parts.own.did],
    )


class Openings:
    """Replies to openings."""

    def __init__(self, parts: AgentParts, inbox: Inbox, views: OpenViews) -> None:
        self._parts = parts
        self._inbox = inbox
        self._views = views

    def reply(self, token: str) -> str:
        """The signed reply to a signed opening: what this holder would compute on, or why it refuses.

        Raises:
            Drop: It is not for this holder, or contradicts an opening before.
            Unavailable: Worth trying again in a moment.
        """
        opening = self._inbox.parse(token, RunOpening)
        question_id = opening.question_id
        if opening.dataset.get(self._parts.own.did) is None:
            raise Drop(question_id, Refused("not-addressed", "The opening is not for this holder"))
        with self._parts.reads() as desk:
            before = desk.store.run(self._parts.hub, question_id, opening.run)
        if before is not None:
            if before.opening != token:
                reason = Refused("opening-altered", "The run has been opened otherwise before")
                raise Drop(question_id, reason)
            return before.reply
        try:
            with self._inbox.at_work(question_id, opening.run, 0):
                permit_token = self._choose_permit(opening)
                view = self._views.fresh(access_request(self._parts, opening, permit_token))
            reply = Opened(
                question_id=question_id,
                run=opening.run,
                holder=self._parts.own.did,
                opening=words_digest(token.encode()),
                dictionary=view.dictionary,
                policy=view.policy,
                permit=view.permit.id,
            )
        except SalernoError as error:
            if isinstance(error, Unavailable) and self._inbox.worth_trying_again(token):
                raise
            return self._refuse_opening(opening, token, error)
        signed = render_signed(reply, self._parts.keys, self._parts.own.did)
        assert reply.dictionary is not None
        kept = AgentRun(
            coordinator=self._parts.hub,
            question_id=question_id,
            run=opening.run,
            opening=token,
            reply=signed,
            dictionary=reply.dictionary,
            policy=reply.policy,
            permit_token=permit_token,
        )
        with self._parts.opens() as desk:
            desk.store.add_run(kept)
            desk.audit.append(
                actor=self._parts.hub,
                act="run-opened",
                subject=question_id,
                detail={"run": opening.run, "holders": sorted(opening.dataset), "permit": reply.permit},
            )
        return signed

    def _choose_permit(self, opening: RunOpening) -> str:
        """The credential that covers the data set asked for; the door checks it fully."""
        own = self._parts.own.did
        reason: SalernoError | None = None
        for token in opening.permits:
            try:
                permit = self._parts.read_permit(token)
            except Unavailable:
                raise
            except SalernoError as error:
                reason = reason or error
                continue
            if any(s.holder == own and s.dataset == opening.dataset[own] for s in permit.data):
                return token
        if reason is not None:
            raise reason
        raise Refused(
            "permit-missing",
            f"None of the permits covers the data set {opening.dataset[own]}",
            rule="EHDS Art. 68(10)(a)",
        )

    def _refuse_opening(self, opening: RunOpening, token: str, error: SalernoError) -> str:
        self._inbox.log_refusal(opening.question_id, error)
        refusal = Opened(
            question_id=opening.question_id,
            run=opening.run,
            holder=self._parts.own.did,
            opening=words_digest(token.encode()),
            refusal=error.to_problem(),
        )
        return render_signed(refusal, self._parts.keys, self._parts.own.did)
