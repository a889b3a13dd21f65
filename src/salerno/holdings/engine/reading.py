"""Rows of an OMOP source for whoever owns all of it: demos and tests.

No door is passed here and no permit asked: a node that serves others never calls it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from secrets import token_hex

import pyarrow as pa

from salerno.holdings.engine.cohorts import Cohorts
from salerno.holdings.engine.conditions import keep_rows
from salerno.holdings.engine.events import KEY
from salerno.holdings.engine.omop_tables import open_omop
from salerno.holdings.engine.permitted import permitted_cohorts
from salerno.holdings.engine.source import EngineLimits, Source
from salerno.holdings.engine.studies import study_table
from salerno.holdings.model import EventDefinition, Holding, StudyFrame
from salerno.holdings.rules import check_frame
from salerno.permits.rules import opt_out_list


def read_rows(
    source: str, frame: StudyFrame, *, without: Sequence[str] = (), limits: EngineLimits | None = None
) -> pa.Table:
    """The rows of a frame.

    Args:
        source: OMOP source.
        frame: What is read.
        without: Identifiers of persons to leave out.
        limits: What the engine may use.
    """
    check_frame(frame)
    with _opened(source, without, limits) as (opened, cohorts):
        built = study_table(cohorts.resolved(frame), cohorts).rows
        kept = keep_rows(built, frame.where, where="The frame", complete=frame.complete)
        rows: pa.Table = opened.fetch(kept.drop(KEY))
    return rows


def read_cohort(
    source: str,
    definition: EventDefinition,
    *,
    without: Sequence[str] = (),
    limits: EngineLimits | None = None,
) -> tuple[pa.Table, pa.Table]:
    """The rows of a Circe cohort: person, first and last day; and how many inclusion rules each person
    passes.

    Args:
        source: OMOP source.
        definition: The cohort.
        without: Identifiers of persons to leave out.
        limits: What the engine may use.
    """
    frame = StudyFrame(groups={"cohort": definition})
    check_frame(frame)
    with _opened(source, without, limits) as (opened, cohorts):
        cohorts.prepare(frame)
        made = cohorts.cohort(definition)
        return opened.fetch(made.rows), opened.fetch(made.passed)


@contextmanager
def _opened(
    source: str, without: Sequence[str], limits: EngineLimits | None
) -> Iterator[tuple[Source, Cohorts]]:
    left_out = opt_out_list(without, token_hex(16), datetime.now(UTC))
    holding = Holding(id="", dataset="", title="", source=source, kind="omop", connected_at=datetime.now(UTC))
    with open_omop(source, limits) as opened:
        yield opened, permitted_cohorts(opened, holding, None, left_out)
