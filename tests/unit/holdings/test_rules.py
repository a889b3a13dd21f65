"""Frames that make no sense, and the columns that one needs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from salerno.holdings.model import Covariate, EventDefinition, StudyFrame
from salerno.holdings.rules import columns_needed
from salerno.kernel.errors import Invalid
from salerno.nodes.demo_data import GIBLEED_FRAME
from salerno.standards.omop import EVENT_TABLES, FIELDS, REQUIRED, is_identifier

DRUG = EventDefinition(table="drug_era", concepts=(1,))


def test_a_frame_needs_every_column_it_is_computed_from_and_no_key() -> None:
    assert columns_needed(GIBLEED_FRAME) == {
        "person": {"gender_concept_id", "year_of_birth", "month_of_birth", "day_of_birth"},
        "observation_period": {"observation_period_start_date", "observation_period_end_date"},
        "death": {"death_date"},
        "drug_era": {"drug_concept_id", "drug_era_start_date"},
        "condition_occurrence": {"condition_concept_id", "condition_start_date"},
    }


SENSELESS: list[tuple[dict[str, Any], str]] = [
    ({"groups": {}}, "frame-groups"),
    ({"groups": {"a": EventDefinition(table="drug_eras", concepts=(1,))}}, "Did you mean 'drug_era'"),
    ({"groups": {"a": EventDefinition(table="drug_era")}}, "needs at least one concept"),
    ({"outcome": EventDefinition(table="death", concepts=(1,))}, "has no concepts"),
    ({"washout_days": -1}, "frame-washout"),
    ({"follow_up_days": 0}, "frame-follow-up"),
    ({"covariates": (Covariate(name="age", event=DRUG),)}, "cannot be the name"),
    ({"covariates": (Covariate(name="holder", event=DRUG),)}, "cannot be the name"),
    ({"covariates": (Covariate(name="_person", event=DRUG),)}, "cannot be the name"),
    ({"covariates": (Covariate(name="a b", event=DRUG),)}, "cannot be the name"),
    (
        {"covariates": (Covariate(name="x", event=DRUG), Covariate(name="x", event=DRUG))},
        "cannot be the name",
    ),
    ({"covariates": (Covariate(name="x", event=DRUG, days_before=0),)}, "at least one day"),
]


@pytest.mark.parametrize(("changes", "said"), SENSELESS)
def test_a_senseless_frame_is_told(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        columns_needed(replace(StudyFrame(groups={"a": DRUG}), **changes))


def test_the_tables_of_the_standard_fit_together() -> None:
    for name, needed in REQUIRED.items():
        assert needed <= set(FIELDS[name])
    for event in EVENT_TABLES.values():
        assert FIELDS[event.name][event.start] == "date"
        assert not any(is_identifier(column) for column in event.columns)
    hidden = {column for fields in FIELDS.values() for column in fields if is_identifier(column)}
    assert {"person_id", "person_source_value", "visit_occurrence_id", "provider_id"} <= hidden
    assert not {"gender_concept_id", "value_as_number", "death_date"} & hidden
