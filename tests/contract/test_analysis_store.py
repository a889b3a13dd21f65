"""Studies, runs and rounds in SQLite and in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from salerno.adapters.database import Database
from salerno.analysis.model import AskedQuestion, QuestionState, Scope, Share, Study, StudyOptions
from salerno.analysis.service.records import AgentRound, AgentRun, Missing, Pending, RunRecord
from salerno.analysis.store import SqlAgentStore, SqlHubStore, metadata
from salerno.catalogue.model import Datatype, Variable
from salerno.holdings.model import Dictionary, StudyFrame
from salerno.permits.model import Condition, DisclosurePolicy

AT = datetime(2031, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
STUDY = Study(
    id="study-1",
    title="Étude",
    user="hub#ada",
    purpose="research",
    permits=("p1", "p2"),
    frame=StudyFrame(where=(Condition(column="age", operator=">=", value=18),)),
    created_at=AT,
    options=StudyOptions(min_holders=2, datasets={"a": "x"}),
    datasets={"a": "x", "b": "y"},
)
QUESTION = AskedQuestion(
    id="question-1",
    study="study-1",
    question={"method": "count"},
    state=QuestionState.QUEUED,
    asked_at=AT,
    progress="waiting",
)
SCOPE = Scope(
    dictionary=Dictionary(
        variables={
            "sex": Variable(name="sex", datatype=Datatype.STRING, levels=("F", "M")),
            "age": Variable(name="age", datatype=Datatype.INTEGER),
        }
    ),
    policy=DisclosurePolicy(),
    holders=("a", "b"),
    names={"a": "Aachen", "b": "Bordeaux"},
)
WORDS = bytes(range(256))


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    metadata.create_all(database.engine)
    with database.transaction() as connection:
        yield connection


@pytest.fixture
def hub(connection: Connection) -> SqlHubStore:
    store = SqlHubStore(connection)
    store.add_study(STUDY, ["t1", "t2"], None)
    store.add_question(QUESTION)
    return store


def run(number: int = 1, **changes) -> RunRecord:
    return RunRecord(**{"question_id": "question-1", "run": number, "holders": ("a", "b"), **changes})


def test_studies_and_questions_come_back(hub) -> None:
    assert hub.study("study-1") == STUDY
    assert hub.study("study-2") is None
    assert hub.tokens("study-1") == ("t1", "t2")
    assert hub.methods("study-1") is None
    hub.add_study(Study(**{**_members(STUDY), "id": "study-2"}), [], ["count", "glm"])
    assert hub.methods("study-2") == ("count", "glm")
    assert [s.id for s in hub.studies("hub#ada")] == ["study-2", "study-1"]
    assert hub.studies("hub#eve") == []
    assert hub.question("question-1") == QUESTION
    assert hub.question("question-2") is None
    assert hub.questions("study-1") == [QUESTION]


def test_a_question_starts_once_and_ends_with_answer_or_error(hub) -> None:
    assert hub.start_question("question-1", AT) == AT
    assert hub.start_question("question-1", AT + timedelta(hours=1)) == AT
    hub.set_progress("question-1", "round 1")
    assert hub.question("question-1").progress == "round 1"
    hub.end_question("question-1", QuestionState.ANSWERED, answer={"n": 1, "x": [0.1]})
    ended = hub.question("question-1")
    assert (ended.state, ended.answer, ended.error) == (QuestionState.ANSWERED, {"n": 1, "x": [0.1]}, None)


def test_a_run_from_opening_to_totals(hub) -> None:
    assert hub.run("question-1") is None
    hub.add_run(run(), "t")
    assert hub.run("question-1") == run()
    assert hub.waiting_for("question-1") == ("a", "b")
    assert hub.pending("a") == [Pending(question_id="question-1", run=1, round=0, token="t")]
    assert hub.opening("question-1", 1, "a") == ("t", "")
    assert hub.opening("question-1", 1, "c") is None
    hub.put_replies("question-1", 1, {"a": "ra"})
    hub.put_replies("question-1", 1, {"a": "other", "c": "rc"})
    assert hub.opening("question-1", 1, "a") == ("t", "ra")
    assert hub.replies("question-1", 1) == {"a": "ra"}
    assert hub.pending("a") == []
    agreed = run(missing=(Missing(holder="c", name="Como", reason="did not answer"),), scope=SCOPE)
    hub.agree(agreed)
    assert hub.run("question-1") == agreed
    assert hub.pending("b") == []  # it did not open in time
    assert hub.last_round("question-1", 1) is None
    hub.add_round("question-1", 1, 1, "call", ("a", "b"))
    assert hub.last_round("question-1", 1).state == "open"
    assert hub.pending("b") == [Pending(question_id="question-1", run=1, round=1, token="call")]
    share = Share(header="h", words=WORDS)
    assert hub.share("question-1", 1, 1, "a") is None
    hub.put_shares("question-1", 1, 1, {})
    hub.put_shares("question-1", 1, 1, {"a": share})
    hub.put_shares("question-1", 1, 1, {"a": Share(header="other"), "c": share})
    hub.put_shares("question-1", 1, 2, {"a": share})
    assert hub.shares("question-1", 1, 2) == {}
    assert hub.share("question-1", 1, 1, "a") == share
    assert hub.headers("question-1", 1, 1) == {"a": "h"}
    hub.put_shares("question-1", 1, 1, {"a": share, "b": Share(header="g")})
    assert hub.shares("question-1", 1, 1) == {"a": share, "b": Share(header="g")}
    assert hub.totals("question-1", 1) == []
    hub.put_totals("question-1", 1, 1, "[]", WORDS)
    assert hub.totals("question-1", 1) == [("[]", WORDS)]
    assert hub.last_round("question-1", 1).state == "summed"


def test_a_new_run_or_the_end_closes_what_was_open(hub) -> None:
    hub.add_run(run(), "t")
    hub.agree(run(scope=SCOPE))
    hub.add_round("question-1", 1, 1, "call", ("a", "b"))
    hub.add_run(run(2, holders=("a",)), "t2")
    assert hub.last_round("question-1", 1).state == "closed"
    hub.put_shares("question-1", 1, 1, {"b": Share(header="late")})
    assert hub.shares("question-1", 1, 1) == {}
    assert hub.pending("b") == []
    assert [p.run for p in hub.pending("a")] == [2]
    hub.end_question("question-1", QuestionState.FAILED, error={"title": "holder-lost"})
    assert hub.pending("a") == []
    assert hub.waiting_for("question-1") == ()


def test_what_a_holder_answered_comes_back(connection) -> None:
    store = SqlAgentStore(connection)
    kept = AgentRun(
        coordinator="hub",
        question_id="q",
        run=1,
        opening="o",
        reply="r",
        dictionary=SCOPE.dictionary,
        policy=DisclosurePolicy(min_cell=7),
        permit_token="t",
    )
    assert store.run("hub", "q", 1) is None
    store.add_run(kept)
    assert store.run("hub", "q", 1) == kept
    assert store.run("other", "q", 1) is None
    store.set_scope("hub", "q", 1, SCOPE)
    found = store.run("hub", "q", 1).scope
    assert found == SCOPE
    assert list(found.dictionary.variables) == ["sex", "age"]  # in their order
    rounds = [
        AgentRound(round=n, content=f"c{n}", share=Share(header=f"h{n}", words=WORDS), arrays="[]")
        for n in (1, 2)
    ]
    for one in reversed(rounds):
        store.add_round("hub", "q", 1, one)
    store.set_totals("hub", "q", 1, 1, WORDS[::-1])
    first, second = store.rounds("hub", "q", 1)
    assert first.totals == WORDS[::-1]
    assert second == rounds[1]


def _members(study: Study) -> dict:
    return {name: getattr(study, name) for name in Study.__slots__}
