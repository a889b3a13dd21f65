"""What a holder says to an opening, and to what is no proper opening."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from salerno.analysis.model import Opened, QuestionState, RunOpening, Work
from salerno.analysis.service.views import OpenViews
from salerno.analysis.wire import read_stored, render_signed, words_digest
from salerno.holdings.model import AccessRequest, StudyFrame
from salerno.kernel.errors import Conflict, Refused, SalernoError, Unavailable

DESCRIBE = {"method": "describe", "variable": "age"}


@pytest.fixture
def opened(make_space, three_tables):
    """A space whose question waits for the openings, and the first holder's opening."""
    space = make_space(three_tables)
    question = space.ask(space.study(), DESCRIBE)
    thread = space.lead(question)
    holder = space.holders[0]
    while not (works := space.coordinator.posted(holder.who.did)):
        time.sleep(0.01)
    yield space, holder, works[0]
    space.stop(thread)


def changed(space, work: Work, **changes) -> Work:
    opening = replace(read_stored(work.token, RunOpening), **changes)
    return replace(work, token=render_signed(opening, space.hub.keys, space.hub.who.did))


def test_the_same_opening_gets_the_same_reply_and_another_for_the_run_gets_none(opened) -> None:
    space, holder, work = opened
    reply = holder.agent._reply(work)
    assert read_stored(reply, Opened).policy.min_cell == 3
    assert holder.agent._reply(work) == reply
    assert holder.make_agent()._reply(work) == reply
    assert holder.agent._reply(changed(space, work, user="somebody")) is None
    assert holder.codes() == ["opening-altered"]


def test_an_opening_for_others_gets_no_reply(opened) -> None:
    space, holder, work = opened
    others = {space.holders[1].who.did: "x"}
    assert holder.agent._reply(changed(space, work, dataset=others)) is None
    assert holder.codes() == ["not-addressed"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"permits": ()}, "permit-missing"),
        ({"permits": ("no.token.atall",)}, "token-malformed"),
        ({"user": "did:web:x.example#eve"}, "permit-other-user"),
        ({"purpose": "policy"}, "permit-other-purpose"),
        ({"question": {"method": "cuont"}}, "unknown-method"),
    ],
)
def test_what_the_permit_does_not_cover_is_refused_with_a_signed_reason(opened, changes, code) -> None:
    space, holder, work = opened
    reply = read_stored(holder.agent._reply(changed(space, work, run=7, **changes)), Opened)
    assert reply.refusal["title"] == code
    assert reply.dictionary is None
    assert holder.codes() == [code]


def test_an_access_body_that_is_down_is_tried_again_and_then_named(opened, monkeypatch) -> None:
    _, holder, work = opened

    def down(permit):
        raise Unavailable("peer-unreachable", "The access body cannot be reached")

    monkeypatch.setattr(holder.status, "state", down)
    for _ in range(7):
        with pytest.raises(Unavailable):
            holder.agent._reply(work)
    reply = read_stored(holder.agent._reply(work), Opened)
    assert reply.refusal["title"] == "peer-unreachable"


def test_the_hub_takes_one_reply_from_the_holder_itself(opened) -> None:
    space, holder, work = opened
    reply = holder.agent._reply(work)
    accept = space.coordinator.accept_opened
    with pytest.raises(Refused, match="token-key"):
        accept(space.holders[1].who.did, reply)
    said = read_stored(reply, Opened)

    def signed(**changes) -> str:
        return render_signed(replace(said, **changes), holder.keys, holder.who.did)

    for changes, code in (
        ({"holder": space.holders[1].who.did}, "message-issuer"),
        ({"dictionary": None}, "opening-reply"),
        ({"opening": words_digest(b"another")}, "share-misplaced"),
        ({"question_id": "question-0"}, "round-unknown"),
        ({"run": 5}, "round-unknown"),
    ):
        with pytest.raises(SalernoError) as caught:
            accept(holder.who.did, signed(**changes))
        assert caught.value.code == code
    accept(holder.who.did, reply)
    accept(holder.who.did, reply)
    with pytest.raises(Conflict, match="opening-altered"):
        accept(holder.who.did, signed(permit="another"))
    assert len(space.hub.codes()) == 7


def test_a_view_that_was_closed_meanwhile_is_opened_again(make_space, three_tables) -> None:
    space = make_space(three_tables)
    victim = space.holders[0]

    def close(did: str, work: Work) -> Work:
        if did == victim.who.did and work.previous:
            for view, _ in victim.agent._views._views.values():
                view.close()
        return work

    space.tamper_in = close
    assert space.answer(DESCRIBE).state is QuestionState.ANSWERED
    assert len(victim.entries("view-opened")) == 2


def test_few_views_stay_open_and_idle_ones_are_closed(make_space, three_tables) -> None:
    space = make_space(three_tables)
    holder = space.holders[0]
    token = space.permit(("age", "sex"), holder.holding.policy).token
    views = OpenViews(holder.door)
    opened = [
        views.view(
            AccessRequest(
                permit_token=token,
                user="did:web:127.0.0.1%3A9100#ada",
                purpose="research",
                environment=space.hub.who.did,
                method=f"method-{n}",
                frame=StudyFrame(),
            )
        )
        for n in range(6)
    ]
    closed = []
    for view in opened:
        try:
            view.run(lambda table: table.aggregate(n=table.count()))
            closed.append(False)
        except Conflict:
            closed.append(True)
    assert closed == [True, True, False, False, False, False]
    views.close_idle(3600)
    assert not opened[-1]._closed
    views.close()
    assert all(view._closed for view in opened)
