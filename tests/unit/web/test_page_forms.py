"""Sent forms become applications, decisions, frames and questions, and lose nothing on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from salerno.analysis.methods import METHODS
from salerno.analysis.pages.frame_forms import read_frame
from salerno.analysis.pages.frames import frame_columns, frame_facts
from salerno.analysis.pages.methods import about, method_labels, read_json, read_question
from salerno.analysis.pages.questions import disclosure_notes
from salerno.analysis.pages.studies import question_words
from salerno.catalogue.model import (
    Agent,
    ContactPoint,
    DatasetDescription,
    Datatype,
    TableDescription,
    Variable,
)
from salerno.holdings.model import (
    Concepts,
    Covariate,
    DrugUse,
    EventDefinition,
    Population,
    StudyFrame,
    Treatments,
)
from salerno.kernel.codes import DataCategory, Purpose
from salerno.permits.model import (
    ApplicationState,
    Case,
    CaseEvent,
    Condition,
    CountryStatus,
    NamedPerson,
)  # fmt: skip
from salerno.permits.pages import words
from salerno.permits.pages.cases import check_decision, narrowed, read_assessment, read_proposal
from salerno.permits.pages.forms import (
    empty_application,
    form_field,
    gap_errors,
    read_application,
    read_rows,
    rows_text,
    whole_scope,
)
from salerno.permits.rules import CRITERIA
from salerno.web.conditions import read_lines
from salerno.web.sessions import Form

NOW = datetime(2031, 3, 1, 12, tzinfo=UTC)


def dataset(iri: str = "https://lyon.example/datasets/heart") -> DatasetDescription:
    contact = ContactPoint(name="Desk", email="desk@example.eu")
    person = TableDescription(
        name="person",
        variables=(
            Variable(name="age", datatype=Datatype.INTEGER),
            Variable(name="sex", datatype=Datatype.STRING, levels=("F", "M")),
            Variable(name="smoker", datatype=Datatype.BOOLEAN),
            Variable(name="bmi", datatype=Datatype.NUMBER),
        ),
    )
    visit = TableDescription(name="visit", variables=(Variable(name="day", datatype=Datatype.DATE),))
    return DatasetDescription(
        iri=iri,
        identifier="heart",
        title="Heart cohort",
        description="People with heart failure",
        holder=Agent(iri="did:web:lyon.example", name="Lyon", country="FR", contact=contact),
        access_body=Agent(iri="did:web:hdab.example", name="Body", country="FR", contact=contact),
        categories=(DataCategory.EHRS,),
        keywords=(),
        provenance="",
        modified=NOW,
        tables=(person, visit),
    )


DATASET = dataset()
OTHER = dataset("https://jena.example/datasets/heart")
KNOWN = {d.iri: d for d in (DATASET, OTHER)}
BEFORE = replace(empty_application("did:web:hub#rosa", "Rosa"), data=(whole_scope(DATASET),))


def form(**fields: Any) -> Form:
    sent = {"period-months": "12", "iri": DATASET.iri, "purpose": "research"} | {
        name.replace("__", "-"): value for name, value in fields.items()
    }
    return Form({k: v if isinstance(v, list) else [v] for k, v in sent.items()})


def test_whole_application_is_read() -> None:
    filled = read_application(
        form(
            title=" Bleeding ",
            purpose="policy",
            is__public__body="yes",
            pseudonymised="yes",
            methods=["count", "cox"],
            columns__0=["person.age", "person.nothing", "visit.day", "person.sex"],
            rows__0="person.age >= 50\nperson.sex in F, M",
            from__0="2019-01-31",
            to__0="2021-12-31",
            person__id__0="did:web:hub#rosa",
            person__name__0="Rosa",
            lead="0",
            person__id__1="did:web:hub#otto",
            person__name__1="Otto",
            person__function__1="Statistician",
        ),
        BEFORE,
        KNOWN,
    )
    assert not filled.errors
    application = filled.application
    assert application.title == "Bleeding"
    assert application.purpose is Purpose.POLICY
    assert application.is_public_body
    assert application.pseudonymised
    assert application.methods == ("count", "cox")
    assert application.persons == (
        NamedPerson(id="did:web:hub#rosa", name="Rosa", principal_investigator=True),
        NamedPerson(id="did:web:hub#otto", name="Otto", function="Statistician"),
    )
    scope = application.data[0]
    assert scope.tables == {"person": ("age", "sex"), "visit": ("day",)}
    assert scope.rows["person"] == (
        Condition(column="age", operator=">=", value=50),
        Condition(column="sex", operator="in", value=["F", "M"]),
    )
    assert (scope.covers_from, scope.covers_to) == (date(2019, 1, 31), date(2021, 12, 31))
    assert (scope.holder, scope.country) == ("did:web:lyon.example", "FR")
    # What the form shows for it is read as the same again.
    assert read_rows(rows_text(scope), DATASET) == scope.rows


def test_what_cannot_be_read_is_told_and_the_rest_is_kept() -> None:
    filled = read_application(
        form(title="Kept", period__months="a year", rows__0="person.age > old", to__0="31.12.2021"),
        BEFORE,
        KNOWN,
    )
    assert set(filled.errors) == {"rows-0", "to-0"}
    assert filled.raw["rows-0"] == "person.age > old"
    assert filled.application.title == "Kept"
    assert filled.application.answers["period-months"] == "a year"
    assert "whole number" in gap_errors(filled.application)["period-months"]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("person.age old", "is no condition"),
        ("persn.age > 1", "Did you mean 'person'"),
        ("age > 1", "names no table"),
        ("person.aeg > 1", "Did you mean 'age'"),
        ("person.age > 1.5", "does not fit the column, which holds integer"),
        ("person.smoker == perhaps", "does not fit the column, which holds boolean"),
        ("person.age in 1, x", "does not fit"),
    ],
)
def test_wrong_conditions_help(line: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        read_rows(line, DATASET)


def test_condition_values_have_the_type_of_the_column() -> None:
    rows = read_rows(
        "person.smoker = no\nperson.bmi <= 30\nperson.sex != 'F'\nvisit.day < 2020-01-01", DATASET
    )
    assert [c.value for c in rows["person"]] == [False, 30.0, "F"]
    assert rows["visit"][0] == Condition(column="day", operator="<", value="2020-01-01")
    single = replace(DATASET, tables=DATASET.tables[:1])
    assert read_rows("age in [40, 50]", single)["person"][0].value == [40, 50]
    assert read_lines("  \n") == []


def test_data_sets_are_added_removed_and_kept() -> None:
    added = read_application(form(action="add", add=OTHER.iri), BEFORE, KNOWN).application
    assert [s.dataset for s in added.data] == [DATASET.iri, OTHER.iri]
    again = read_application(form(action="add", add=DATASET.iri), BEFORE, KNOWN).application
    assert len(again.data) == 1
    sent = form(
        iri=[DATASET.iri, OTHER.iri], action="remove-0", columns__1="person.bmi", rows__1="person.age > x"
    )
    removed = read_application(sent, added, KNOWN)
    assert [s.dataset for s in removed.application.data] == [OTHER.iri]
    assert removed.application.data[0].tables == {"person": ("bmi",)}
    # The error stands where the data set stands now.
    assert set(removed.errors) == {"rows-0"}
    # A data set that has left the catalogue keeps what was asked for.
    chosen = replace(BEFORE, data=(replace(BEFORE.data[0], tables={"person": ("age",)}),))
    assert read_application(form(), chosen, {}).application.data == chosen.data


def test_gaps_lead_to_their_fields_with_their_article() -> None:
    errors = gap_errors(BEFORE)
    assert errors["safeguards"].endswith("(EHDS Art. 67(2)(g))")
    assert "columns-0" in errors
    assert form_field("persons[0]") == "persons"
    assert form_field("data[2].rows.person") == "rows-2"
    assert form_field("data[1].covers_to") == "to-1"
    assert form_field("data[0].tables.person") == "columns-0"
    assert form_field("gdpr_basis") == "gdpr_basis"


def case(**changes: Any) -> Case:
    tables = {"person": ("age", "sex"), "visit": ("day",)}
    rows: dict[str, tuple[Condition, ...]] = {
        "visit": (Condition(column="day", operator="<", value="2020-01-01"),)
    }
    scope = replace(whole_scope(DATASET), tables=tables, rows=rows)
    made = Case(
        id="case-1",
        application=replace(BEFORE, data=(scope,)),
        applicant_id="did:web:hub#rosa",
        state=ApplicationState.PROCESSING,
        countries={"FR": CountryStatus(state=ApplicationState.PROCESSING, due=date(2031, 6, 1))},
        created_at=NOW,
        submitted_at=NOW,
    )
    return replace(made, **changes)


def test_officers_decision_is_read_and_checked() -> None:
    yes = {f"met-{letter}": ["yes"] for letter in CRITERIA}
    sent = {**yes, "months": ["12"], "min_cell": ["10"], "remark-b": ["As little as can be"]}
    good = Form({**sent, "action": ["grant"], "no_conflict": ["yes"]})
    assert check_decision(good) == {}
    assessment = read_assessment(good, "did:web:body#odile")
    assert [c.letter for c in assessment.criteria] == list(CRITERIA)
    assert all(c.met for c in assessment.criteria)
    assert assessment.criteria[1].remark == "As little as can be"
    assert read_proposal(good, case()).terms.months == 12
    wrong = check_decision(Form({"months": ["999"], "min_cell": ["none"], "action": ["grant"]}))
    assert {"months", "min_cell", "met-a", "met-h", "no_conflict"} <= set(wrong)
    assert set(check_decision(Form({"action": ["refuse"], "no_conflict": ["yes"]}))) == {"reason"}


def test_officer_permits_less() -> None:
    everything = ["0.person.age", "0.person.sex", "0.visit.day"]
    assert narrowed(Form({"columns": everything}), case()) is None
    less = narrowed(Form({"columns": ["0.person.age"]}), case())
    assert less is not None
    assert less[0].tables == {"person": ("age",)}
    assert less[0].rows == {}
    assert narrowed(Form(), case()) == ()


def test_case_in_words() -> None:
    today = date(2031, 5, 31)
    status = case().countries["FR"]
    assert words.due_words(status, today) == "Decision due by 1 June 2031, 1 day left"
    assert "ago" in words.due_words(status, date(2031, 6, 4))
    decided = replace(status, due=None, decided_at=NOW)
    assert words.due_words(decided, today) == "Decided on 1 March 2031"
    assert words.due_words(replace(status, due=None), today) == ""
    detail = {"outcome": "refusal", "reason": "Too many columns"}
    event = CaseEvent(
        number=1,
        at=NOW,
        act="decided",
        actor="o",
        state=ApplicationState.DECIDED,
        country="FR",
        detail=detail,
    )
    (moment,) = words.timeline([event])
    assert (moment.what, moment.tone) == ("France: Decided", "bad")
    assert moment.detail == "Refused. Too many columns"
    (moment,) = words.timeline([event], {"o": "Odile"})
    assert (moment.what, moment.when.endswith("Odile")) == ("Decided", True)
    shown = words.scope_facts(case().application.data[0], DATASET)
    assert shown["rows"] == ["visit: day < 2020-01-01"]
    assert words.scope_facts(case().application.data[0], None)["title"] == DATASET.iri


def test_every_method_has_a_form() -> None:
    assert [name for name, _ in method_labels()] == list(METHODS)
    for name, method in METHODS.items():
        assert name == method.NAME
        assert method.LABEL
        assert about(method).endswith(".")
        assert len({parameter.name for parameter in method.PARAMETERS}) == len(method.PARAMETERS)


def test_questions_are_read_from_forms() -> None:
    cox = Form({"formula": ["Surv(time, status) ~ age"], "strata": ["null"], "ties": [""]})
    assert read_question(cox, METHODS["cox"]) == (
        {"method": "cox", "formula": "Surv(time, status) ~ age", "strata": None},
        {},
    )
    count = Form({"by": ["sex, holder"]})
    assert read_question(count, METHODS["count"])[0] == {"method": "count", "by": ["sex", "holder"]}
    assert read_question(Form({"by": ["sex"]}), METHODS["count"])[0]["by"] == "sex"
    assert read_question(Form(), METHODS["count"]) == ({"method": "count"}, {})
    quantiles = Form({"variable": ["age"], "probabilities": ["0.5, 1"]})
    assert read_question(quantiles, METHODS["quantiles"])[0]["probabilities"] == [0.5, 1]
    wrong = read_question(Form({"bins": ["many"]}), METHODS["histogram"])[1]
    assert wrong == {"variable": "Column: this is needed", "bins": "Number of bars: write a number"}
    describe = Form({"variables": ["age, bmi"]})
    assert read_question(describe, METHODS["describe"])[0]["variables"] == ["age", "bmi"]


def test_questions_are_read_from_json() -> None:
    assert read_json(json.dumps({"method": "count"})) == ({"method": "count"}, {})
    assert "not JSON" in read_json("{")[1]["json"]
    assert '"method"' in read_json("[]")[1]["json"]
    assert question_words({"method": "cox", "formula": "a ~ b", "strata": None}) == "Cox regression: a ~ b"
    assert question_words({"method": "count", "by": ["sex", "holder"]}) == "Count by sex and holder"
    assert question_words({"method": "odd"}) == "odd"


def test_frame_over_omop_is_read() -> None:
    sent = {
        "kind": "omop",
        "group-0": "celecoxib",
        "group-0-table": "drug_era",
        "group-0-concepts": "1118084, 44",
        "group-0-descendants": "yes",
        "outcome-table": "condition_occurrence",
        "outcome-concepts": "192671",
        "washout_days": "180",
        "follow_up_days": "",
        "covariate-0": "stroke",
        "covariate-0-table": "death",
        "covariate-0-days": "365",
        "where": "age >= 50\nsex in F, M",
    }
    filled = read_frame(Form({k: [v] for k, v in sent.items()}))
    assert not filled.errors
    assert filled.frame == StudyFrame(
        groups={"celecoxib": EventDefinition(table="drug_era", concepts=(1118084, 44), descendants=True)},
        washout_days=180,
        outcome=EventDefinition(table="condition_occurrence", concepts=(192671,)),
        covariates=(Covariate(name="stroke", event=EventDefinition(table="death"), days_before=365),),
        where=(
            Condition(column="age", operator=">=", value=50),
            Condition(column="sex", operator="in", value=["F", "M"]),
        ),
    )
    facts = dict(frame_facts(filled.frame))
    assert facts["Groups"] == "celecoxib: drug eras of 1118084, 44 with all that fall under them"
    assert facts["Covariates"] == "stroke: deaths"
    assert "stroke" in dict(frame_columns(filled.frame))


def test_wrong_frames_are_told() -> None:
    sent = {
        "kind": "omop",
        "group-0": "a",
        "group-0-table": "drug_era",
        "group-0-concepts": "aspirin",
        "group-1-table": "drug_era",
        "group-1-concepts": "1",
        "washout_days": "a year",
        "where": "old",
        "covariate-0": "x",
    }
    errors = read_frame(Form({k: [v] for k, v in sent.items()})).errors
    assert {"group-0-concepts", "group-1", "washout_days", "where", "covariate-0"} <= set(errors)
    assert "group-0" in read_frame(Form({"kind": ["omop"]})).errors
    plain = read_frame(Form({"kind": ["tables"], "table": ["patients"]})).frame
    assert plain == StudyFrame(table="patients")
    assert frame_columns(plain) == []
    assert frame_facts(plain)[0] == ("Table", "patients")


def sent_frame(**fields: str) -> Form:
    return Form({name.replace("__", "-"): [value] for name, value in fields.items()})


ENTRY = {"kind": "omop", "group__0": "a", "group__0__table": "drug_era", "group__0__concepts": "1"}
ENTRIES = StudyFrame(groups={"a": EventDefinition(table="drug_era", concepts=(1,))})
CIRCE = {
    "ConceptSets": [
        {
            "id": 0,
            "name": "celecoxib",
            "expression": {"items": [{"concept": {"CONCEPT_ID": 1118084, "CONCEPT_NAME": "celecoxib"}}]},
        }
    ],
    "PrimaryCriteria": {
        "CriteriaList": [{"DrugEra": {"CodesetId": 0}}],
        "ObservationWindow": {"PriorDays": 0, "PostDays": 0},
        "PrimaryCriteriaLimit": {"Type": "First"},
    },
    "QualifiedLimit": {"Type": "First"},
    "ExpressionLimit": {"Type": "First"},
    "InclusionRules": [],
    "CensoringCriteria": [],
    "CollapseSettings": {"CollapseType": "ERA", "EraPad": 0},
    "CensorWindow": {},
}


def test_groups_and_outcomes_are_cohorts() -> None:
    filled = read_frame(
        sent_frame(
            kind="omop", rows="each", group__0="new users", group__0__table="drug_era",
            group__0__circe=json.dumps(CIRCE), group__0__save="yes", group__1="old users",
            group__1__cohort="users", outcome__table="condition_occurrence", outcome__cohort="bleeds",
            competing__table="death",
        )
    )  # fmt: skip
    assert not filled.errors
    assert filled.frame == StudyFrame(
        groups={"new users": EventDefinition(circe=CIRCE), "old users": EventDefinition(cohort="users")},
        save={"new users": EventDefinition(circe=CIRCE)},
        entry="each",
        outcome=EventDefinition(cohort="bleeds"),
        competing=EventDefinition(table="death"),
    )
    facts = dict(frame_facts(filled.frame))
    assert facts["Groups"] == "new users: cohort of a Circe definition; old users: saved cohort 'users'"
    assert facts["Cohorts saved"] == "new users"


def test_memberships_of_cohorts() -> None:
    filled = read_frame(
        sent_frame(kind="omop", rows="cohorts", group__0="a", group__0__cohort="a", group__1="b",
                   group__1__table="death")
    )  # fmt: skip
    assert not filled.errors
    assert filled.frame.rows == "cohorts"
    assert [name for name, _ in frame_columns(filled.frame)] == ["a", "b", "a_date", "b_date"]


def test_a_population() -> None:
    filled = read_frame(
        sent_frame(kind="population", study_start="2010-01-01", study_end="2019-12-31",
                   age_groups="0-150, 18-64", prior_observation_days="365", outcome__0="stroke",
                   outcome__0__cohort="stroke", outcome_washout_days="180", repeated_events="yes",
                   target__cohort="nurses", where="sex = F")
    )  # fmt: skip
    assert not filled.errors
    assert filled.frame == StudyFrame(
        population=Population(
            study_start=date(2010, 1, 1),
            study_end=date(2019, 12, 31),
            age_groups=((0, 150), (18, 64)),
            prior_observation_days=365,
            outcomes={"stroke": EventDefinition(cohort="stroke")},
            outcome_washout_days=180,
            repeated_events=True,
            target=EventDefinition(cohort="nurses"),
        ),
        where=(Condition(column="sex", operator="==", value="F"),),
    )
    facts = dict(frame_facts(filled.frame))
    assert facts["Study period"] == "2010-01-01 to 2019-12-31"
    assert facts["Outcomes"] == "stroke: saved cohort 'stroke'"


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ({"kind": "omop", "group__0": "a", "group__0__circe": "{"}, "group-0-circe", "The cohort definition"),
        ({"kind": "omop", "group__0": "a", "group__0__circe": "{}"}, "group-0-circe", ""),
        (
            {"kind": "omop", "group__0": "a", "group__0__cohort": "b", "group__0__table": "drug_era",
             "group__0__concepts": "1"},
            "group-0-concepts",
            "one of them",
        ),
        ({"kind": "omop", "rows": "cohorts", "group__0": "a b", "group__0__cohort": "x"}, "_frame", "'a b'"),
        (
            {"kind": "omop", "group__0": "a", "group__0__cohort": "x", "group__0__save": "yes"},
            "_frame",
            "A cohort is saved by its definition",
        ),
        ({"kind": "population", "study_start": "soon"}, "study_start", "year-month-day"),
        (
            {"kind": "population", "study_start": "2019-01-01", "study_end": "2010-01-01"},
            "_frame",
            "before it ends",
        ),
        (
            {"kind": "population", "study_start": "2019-01-01", "study_end": "2020-01-01",
             "age_groups": "old"},
            "age_groups",
            "18-64",
        ),
        (ENTRY | {"rows": "treatments"}, "treatment-0", "at least one"),
        (ENTRY | {"treatment__0": "X", "treatment__0__concepts": "1"}, "rows", "paths of treatments"),
        (ENTRY | {"rows": "concepts", "concepts__windows": "30"}, "concepts-windows", "-365 to -1"),
        (ENTRY | {"drug__concepts": "aspirin"}, "drug-concepts", "whole numbers"),
        (
            ENTRY | {"covariate__0": "b", "covariate__0__cohort": "b", "covariate__0__from": "soon"},
            "covariate-0-from",
            "whole number",
        ),
        ({"kind": "json", "frame": "{"}, "frame", "The frame"),
        ({"kind": "json", "frame": '{"groups": {"a": {"table": "drug_eras"}}}'}, "_frame", "drug_era"),
    ],
)  # fmt: skip
def test_wrong_cohorts_and_populations_are_told(fields: dict[str, str], place: str, words: str) -> None:
    errors = read_frame(sent_frame(**fields)).errors
    assert words in errors[place]


def test_treatments_concepts_and_the_use_of_a_drug_have_fields() -> None:
    treated = read_frame(
        sent_frame(**ENTRY, rows="treatments", treatment__0="X", treatment__0__table="drug_era",
                   treatment__0__concepts="2 3", treatments__gap_days="14", treatments__most_lines="")
    )  # fmt: skip
    drug = EventDefinition(table="drug_era", concepts=(2, 3))
    assert treated.errors == {}
    assert treated.frame == replace(ENTRIES, treatments=Treatments(events={"X": drug}, gap_days=14))
    assert dict(frame_facts(treated.frame))["A row is"].startswith("An entry and the path")
    assert "first_line" in dict(frame_columns(treated.frame))
    around = read_frame(
        sent_frame(**ENTRY, rows="concepts", concepts__tables="drug_era", concepts__most="50",
                   concepts__windows="any to -1; from day 0 to 30")
    )  # fmt: skip
    concepts = Concepts(tables=("drug_era",), windows=((None, -1), (0, 30)), most=50)
    assert around.frame == replace(ENTRIES, concepts=concepts)
    assert dict(frame_facts(around.frame))["In the days"] == "from day any to -1; from day 0 to 30"
    used = read_frame(
        sent_frame(**ENTRY, drug__concepts="7, 8", drug__gap_days="10", covariate__0="stroke",
                   covariate__0__concepts="9", covariate__0__table="condition_era", covariate__0__to="30",
                   covariate__0__from="-1")
    )  # fmt: skip
    stroke = EventDefinition(table="condition_era", concepts=(9,))
    assert used.frame == replace(
        ENTRIES,
        drug=DrugUse(concepts=(7, 8), descendants=False, gap_days=10),
        covariates=(Covariate(name="stroke", event=stroke, window=(-1, 30)),),
    )
    assert {"n_eras", "stroke"} <= dict(frame_columns(used.frame)).keys()


def test_a_frame_as_json() -> None:
    treated = {"groups": {"a": {"cohort": "x"}}, "treatments": {"events": {"b": {"cohort": "y"}}}}
    filled = read_frame(sent_frame(kind="json", frame=json.dumps(treated)))
    assert not filled.errors
    assert dict(frame_facts(filled.frame))["Treatments"] == "b: saved cohort 'y'"


def test_disclosure_in_words() -> None:
    told = {
        "min_cell": 10,
        "suppressed": 1,
        "masks": True,
        "notes": ["A curve is shorter."],
        "few_holders": "Two.",
        "missing": [{"name": "Jena", "reason": "it did not answer"}],
    }
    notes = disclosure_notes({"disclosure": told})
    assert "1 figure is hidden." in notes
    assert "Jena is not in the answer: it did not answer." in notes
    assert disclosure_notes({}) == []
