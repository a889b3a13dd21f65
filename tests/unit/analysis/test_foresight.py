"""What a question will meet, told from published dictionaries, in the words of the run."""

from __future__ import annotations

from dataclasses import replace

from salerno.analysis.foresight import foresee
from salerno.catalogue.model import DatasetDescription
from salerno.holdings.model import EventDefinition, StudyFrame
from salerno.permits.model import DisclosurePolicy
from tests.unit.analysis.test_rehearsal import CDM, HEART, JENA, LYON, OULU, VARIABLES, description

THREE = (LYON, JENA, OULU)


def with_variables(base: DatasetDescription, **changed: object) -> DatasetDescription:
    variables = tuple(replace(v, **changed[v.name]) if v.name in changed else v for v in VARIABLES)  # type: ignore[arg-type]
    return replace(base, tables=(replace(HEART, variables=variables),))


def test_nothing_speaks_against_a_good_question() -> None:
    seen = foresee({"method": "cox", "formula": "Surv(time, status) ~ age + sex"}, StudyFrame(), THREE)
    assert (seen.problem, seen.refusals, seen.notes) == (None, (), ())


def test_what_cannot_be_asked_is_said_as_the_run_says_it() -> None:
    seen = foresee({"method": "describe", "variable": "agee"}, StudyFrame(), THREE)
    assert "Did you mean 'age'" in str(seen.problem)
    seen = foresee({"method": "describe", "variable": "sex"}, StudyFrame(), THREE)
    assert seen.problem is not None
    assert seen.problem.code == "not-numeric"
    lacks = replace(JENA, tables=(replace(HEART, variables=VARIABLES[:1]),))
    seen = foresee({"method": "count", "by": "sex"}, StudyFrame(), (LYON, lacks))
    assert "Hospital St. Jena has no column 'sex'" in str(seen.problem)
    seen = foresee({"method": "count"}, StudyFrame(table="hart"), THREE)
    assert "Did you mean 'heart'" in str(seen.problem)


def test_small_counts_foretell_a_refusal() -> None:
    few = with_variables(JENA, time={"n": None})
    seen = foresee({"method": "describe", "variable": "time"}, StudyFrame(), (LYON, few, OULU))
    assert [r.code for r in seen.refusals] == ["too-few-persons"]
    assert "Hospital St. Jena" in str(seen.refusals[0])
    tight = DisclosurePolicy(max_parameter_ratio=0.001)
    question = {"method": "glm", "formula": "age ~ sex + status", "family": "gaussian"}
    seen = foresee(question, StudyFrame(), THREE, tight)
    assert [r.code for r in seen.refusals] == ["model-too-large"]
    assert foresee(question, StudyFrame(), THREE).refusals == ()


def test_levels_that_a_holder_does_not_publish_and_few_holders_are_noted() -> None:
    other = with_variables(JENA, sex={"levels": ("F", "M", "X")})
    seen = foresee({"method": "count", "by": "sex"}, StudyFrame(), (LYON, other))
    assert any("Hospital St. Lyon publishes no sex = X" in note for note in seen.notes)
    assert len(seen.notes) == 2
    thin = tuple(with_variables(d, sex={"n": 10}, status={"n": 10}) for d in THREE)
    seen = foresee({"method": "crosstab", "rows": "sex", "columns": "status"}, StudyFrame(), thin)
    assert any("4 cells" in note for note in seen.notes)


def test_a_frame_over_omop_has_its_own_columns() -> None:
    frame = StudyFrame(
        groups={"new": EventDefinition(table="drug_era", concepts=(1,))},
        outcome=EventDefinition(table="death"),
    )
    cdm = [description(name, *CDM) for name in ("Lund", "Turku", "Delft")]
    good = foresee({"method": "kaplan_meier", "time": "time", "event": "status", "by": "group"}, frame, cdm)
    assert (good.problem, good.refusals) == (None, ())
    assert "Did you mean 'group'" in str(foresee({"method": "count", "by": "gruop"}, frame, cdm).problem)
    unknown = foresee({"method": "count", "by": "whatever"}, StudyFrame(), cdm)
    assert unknown.problem is None
    assert "rehearsal" in unknown.notes[0]
