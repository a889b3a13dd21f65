"""Tables of the analysis, at the coordinator and at a holder."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()

study = Table(
    "analysis_study",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, nullable=False, index=True),
    Column("content", Text, nullable=False),
    Column("tokens", Text, nullable=False),
    Column("methods", Text, nullable=False),
)
question = Table(
    "analysis_question",
    metadata,
    Column("id", Text, primary_key=True),
    Column("study", Text, nullable=False, index=True),
    Column("question", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked_at", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("progress", Text, nullable=False),
)
run = Table(
    "analysis_run",
    metadata,
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("holders", Text, nullable=False),
    Column("missing", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("opening", Text, nullable=False),
)
opening = Table(
    "analysis_opening",
    metadata,
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reply", Text, nullable=False),
)
Index("analysis_opening_todo", opening.c.holder, opening.c.state)
round_ = Table(
    "analysis_round",
    metadata,
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("token", Text, nullable=False),
    Column("arrays", Text, nullable=False),
    Column("totals", LargeBinary),
)
share = Table(
    "analysis_share",
    metadata,
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("header", Text, nullable=False),
    Column("words", LargeBinary),
)
Index("analysis_share_todo", share.c.holder, share.c.state)
agent_run = Table(
    "analysis_agent_run",
    metadata,
    Column("coordinator", Text, primary_key=True),
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("opening", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("dictionary", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("permit_token", Text, nullable=False),
    Column("scope", Text, nullable=False),
)
agent_round = Table(
    "analysis_agent_round",
    metadata,
    Column("coordinator", Text, primary_key=True),
    Column("question_id", Text, primary_key=True),
    Column("run", Integer, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("content", Text, nullable=False),
    Column("header", Text, nullable=False),
    Column("words", LargeBinary, nullable=False),
    Column("arrays", Text, nullable=False),
    Column("totals", LargeBinary),
)
ledger_entry = Table(
    "analysis_ledger_entry",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("coordinator", Text, nullable=False),
    Column("question_id", Text, nullable=False),
    Column("run", Integer, nullable=False),
    Column("user_id", Text, nullable=False, index=True),
    Column("permit", Text, nullable=False, index=True),
    Column("dataset", Text, nullable=False),
    Column("frame", Text, nullable=False),
    Column("question", Text, nullable=False),
    Column("columns", Text, nullable=False),
    Column("measures", Text, nullable=False),
    Column("holders", Text, nullable=False),
    Column("asked_at", Text, nullable=False),
    Column("until", Text, nullable=False, index=True),
    Column("epsilon", Text, nullable=False),
    Column("refusal", Text, nullable=False),
)
ledger_set = Table(
    "analysis_ledger_set",
    metadata,
    Column("entry", Integer, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("family", Integer, nullable=False),
    Column("cell", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("numbering", Text, nullable=False),
    Column("digest", Text, nullable=False, index=True),
)
ledger_persons = Table(
    "analysis_ledger_persons",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("bitmap", LargeBinary, nullable=False),
)
ledger_secret = Table(
    "analysis_ledger_secret",
    metadata,
    Column("dataset", Text, primary_key=True),
    Column("secret", LargeBinary, nullable=False),
)
ledger_noise = Table(
    "analysis_ledger_noise",
    metadata,
    Column("key", Text, primary_key=True),
    Column("noise", LargeBinary, nullable=False),
)
