"""OMOP Common Data Model 5.3 and 5.4 as tables: the fields that we read, their types, what they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FEMALE: Final = 8532
MALE: Final = 8507

SPECIFICATION: Final = "https://ohdsi.github.io/CommonDataModel/cdm54.html"

_KINDS: Final[Mapping[str, str]] = {"i": "integer", "f": "float", "d": "date", "t": "datetime", "s": "string"}


def _fields(text: str) -> dict[str, str]:
    pairs = (word.rsplit(":", 1) for word in text.split())
    return {name: _KINDS[kind] for name, kind in pairs}


FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "person": _fields(
        "person_id:i gender_concept_id:i year_of_birth:i month_of_birth:i day_of_birth:i birth_datetime:t "
        "race_concept_id:i ethnicity_concept_id:i location_id:i provider_id:i care_site_id:i "
        "person_source_value:s gender_source_value:s gender_source_concept_id:i race_source_value:s "
        "race_source_concept_id:i ethnicity_source_value:s ethnicity_source_concept_id:i"
    ),
    "observation_period": _fields(
        "observation_period_id:i person_id:i observation_period_start_date:d observation_period_end_date:d "
        "period_type_concept_id:i"
    ),
    "drug_exposure": _fields(
        "drug_exposure_id:i person_id:i drug_concept_id:i drug_exposure_start_date:d "
        "drug_exposure_start_datetime:t drug_exposure_end_date:d drug_exposure_end_datetime:t "
        "verbatim_end_date:d drug_type_concept_id:i stop_reason:s refills:i quantity:f days_supply:i sig:s "
        "route_concept_id:i lot_number:s provider_id:i visit_occurrence_id:i visit_detail_id:i "
        "drug_source_value:s drug_source_concept_id:i route_source_value:s dose_unit_source_value:s"
    ),
    "drug_era": _fields(
        "drug_era_id:i person_id:i drug_concept_id:i drug_era_start_date:d drug_era_end_date:d "
        "drug_exposure_count:i gap_days:i"
    ),
    "condition_occurrence": _fields(
        "condition_occurrence_id:i person_id:i condition_concept_id:i condition_start_date:d "
        "condition_start_datetime:t condition_end_date:d condition_end_datetime:t "
        "condition_type_concept_id:i condition_status_concept_id:i stop_reason:s provider_id:i "
        "visit_occurrence_id:i visit_detail_id:i "
        "condition_source_value:s condition_source_concept_id:i condition_status_source_value:s"
    ),
    "condition_era": _fields(
        "condition_era_id:i person_id:i condition_concept_id:i condition_era_start_date:d "
        "condition_era_end_date:d condition_occurrence_count:i"
    ),
    "procedure_occurrence": _fields(
        "procedure_occurrence_id:i person_id:i procedure_concept_id:i procedure_date:d procedure_datetime:t "
        "procedure_end_date:d procedure_end_datetime:t procedure_type_concept_id:i modifier_concept_id:i "
        "quantity:i provider_id:i visit_occurrence_id:i visit_detail_id:i procedure_source_value:s "
        "procedure_source_concept_id:i modifier_source_value:s"
    ),
    "measurement": _fields(
        "measurement_id:i person_id:i measurement_concept_id:i measurement_date:d measurement_datetime:t "
        "measurement_time:s measurement_type_concept_id:i operator_concept_id:i value_as_number:f "
        "value_as_concept_id:i unit_concept_id:i range_low:f range_high:f provider_id:i "
        "visit_occurrence_id:i visit_detail_id:i measurement_source_value:s "
        "measurement_source_concept_id:i unit_source_value:s "
        "unit_source_concept_id:i value_source_value:s measurement_event_id:i meas_event_field_concept_id:i"
    ),
    "observation": _fields(
        "observation_id:i person_id:i observation_concept_id:i observation_date:d observation_datetime:t "
        "observation_type_concept_id:i value_as_number:f value_as_string:s value_as_concept_id:i "
        "qualifier_concept_id:i unit_concept_id:i provider_id:i visit_occurrence_id:i visit_detail_id:i "
        "observation_source_value:s observation_source_concept_id:i unit_source_value:s "
        "qualifier_source_value:s value_source_value:s observation_event_id:i obs_event_field_concept_id:i"
    ),
    "visit_occurrence": _fields(
        "visit_occurrence_id:i person_id:i visit_concept_id:i visit_start_date:d visit_start_datetime:t "
        "visit_end_date:d visit_end_datetime:t visit_type_concept_id:i provider_id:i care_site_id:i "
        "visit_source_value:s visit_source_concept_id:i admitting_source_concept_id:i "
        "admitting_source_value:s admitted_from_concept_id:i admitted_from_source_value:s "
        "discharge_to_concept_id:i discharge_to_source_value:s discharged_to_concept_id:i "
        "discharged_to_source_value:s preceding_visit_occurrence_id:i"
    ),
    "death": _fields(
        "person_id:i death_date:d death_datetime:t death_type_concept_id:i cause_concept_id:i "
        "cause_source_value:s cause_source_concept_id:i"
    ),
    "visit_detail": _fields(
        "visit_detail_id:i person_id:i visit_detail_concept_id:i visit_detail_start_date:d "
        "visit_detail_start_datetime:t visit_detail_end_date:d visit_detail_end_datetime:t "
        "visit_detail_type_concept_id:i provider_id:i care_site_id:i visit_detail_source_value:s "
        "visit_detail_source_concept_id:i admitting_source_value:s admitting_source_concept_id:i "
        "discharge_to_source_value:s discharge_to_concept_id:i preceding_visit_detail_id:i "
        "visit_detail_parent_id:i visit_occurrence_id:i admitted_from_concept_id:i "
        "admitted_from_source_value:s discharged_to_source_value:s discharged_to_concept_id:i "
        "parent_visit_detail_id:i"
    ),
    "device_exposure": _fields(
        "device_exposure_id:i person_id:i device_concept_id:i device_exposure_start_date:d "
        "device_exposure_start_datetime:t device_exposure_end_date:d device_exposure_end_datetime:t "
        "device_type_concept_id:i unique_device_id:s quantity:i provider_id:i visit_occurrence_id:i "
        "visit_detail_id:i device_source_value:s device_source_concept_id:i production_id:s "
        "unit_concept_id:i unit_source_value:s unit_source_concept_id:i"
    ),
    "specimen": _fields(
        "specimen_id:i person_id:i specimen_concept_id:i specimen_type_concept_id:i specimen_date:d "
        "specimen_datetime:t quantity:f unit_concept_id:i anatomic_site_concept_id:i "
        "disease_status_concept_id:i specimen_source_id:s specimen_source_value:s unit_source_value:s "
        "anatomic_site_source_value:s disease_status_source_value:s"
    ),
    "dose_era": _fields(
        "dose_era_id:i person_id:i drug_concept_id:i unit_concept_id:i dose_value:f dose_era_start_date:d "
        "dose_era_end_date:d"
    ),
    "payer_plan_period": _fields(
        "payer_plan_period_id:i person_id:i payer_plan_period_start_date:d payer_plan_period_end_date:d "
        "payer_concept_id:i payer_source_value:s payer_source_concept_id:i plan_concept_id:i "
        "plan_source_value:s plan_source_concept_id:i sponsor_concept_id:i sponsor_source_value:s "
        "sponsor_source_concept_id:i family_source_value:s stop_reason_concept_id:i "
        "stop_reason_source_value:s stop_reason_source_concept_id:i"
    ),
    "provider": _fields(
        "provider_id:i provider_name:s npi:s dea:s specialty_concept_id:i care_site_id:i year_of_birth:i "
        "gender_concept_id:i provider_source_value:s specialty_source_value:s "
        "specialty_source_concept_id:i gender_source_value:s gender_source_concept_id:i"
    ),
    "care_site": _fields(
        "care_site_id:i care_site_name:s place_of_service_concept_id:i location_id:i "
        "care_site_source_value:s place_of_service_source_value:s"
    ),
    "concept": _fields(
        "concept_id:i concept_name:s domain_id:s vocabulary_id:s concept_class_id:s standard_concept:s "
        "concept_code:s valid_start_date:d valid_end_date:d invalid_reason:s"
    ),
    "concept_ancestor": _fields(
        "ancestor_concept_id:i descendant_concept_id:i min_levels_of_separation:i max_levels_of_separation:i"
    ),
    "concept_relationship": _fields(
        "concept_id_1:i concept_id_2:i relationship_id:s valid_start_date:d valid_end_date:d invalid_reason:s"
    ),
}
"""Type of each field, of the versions 5.3 and 5.4 together, for the tables that studies read."""

VOCABULARY: Final = frozenset({"concept", "concept_ancestor", "concept_relationship"})
"""Tables that speak of words, not of persons; no permit needs to name them."""


CARE_PROVIDERS: Final = frozenset({"provider", "care_site"})
"""Tables about those who care; a study may read a kind of them, such as a specialty, never who it is."""


@dataclass(frozen=True, slots=True)
class EventTable:
    """Where a table of events keeps what happened and when.

    Args:
        name: The table.
        concept: Column that says what happened; empty where the table itself says it.
        start: Column with the day.
        end: Column with the last day; empty where an event has no length.
    """

    name: str
    concept: str
    start: str
    end: str = ""

    @property
    def columns(self) -> frozenset[str]:
        """What is read of it beside the person's key."""
        return frozenset({self.concept, self.start} - {""})

    @property
    def lasting(self) -> frozenset[str]:
        """What is read of it where it matters how long an event lasted."""
        return self.columns | frozenset({self.end} - {""})


EVENT_TABLES: Final[Mapping[str, EventTable]] = {
    table.name: table
    for table in (
        EventTable("drug_era", "drug_concept_id", "drug_era_start_date", "drug_era_end_date"),
        EventTable("drug_exposure", "drug_concept_id", "drug_exposure_start_date", "drug_exposure_end_date"),
        EventTable(
            "condition_occurrence", "condition_concept_id", "condition_start_date", "condition_end_date"
        ),
        EventTable(
            "condition_era", "condition_concept_id", "condition_era_start_date", "condition_era_end_date"
        ),
        EventTable("procedure_occurrence", "procedure_concept_id", "procedure_date"),
        EventTable("measurement", "measurement_concept_id", "measurement_date"),
        EventTable("observation", "observation_concept_id", "observation_date"),
        EventTable("visit_occurrence", "visit_concept_id", "visit_start_date", "visit_end_date"),
        EventTable(
            "device_exposure",
            "device_concept_id",
            "device_exposure_start_date",
            "device_exposure_end_date",
        ),
        EventTable("death", "", "death_date"),
    )
}
"""Tables that an event definition can read."""

RECORD_DATES: Final[Mapping[str, str]] = {
    **{table.name: table.start for table in EVENT_TABLES.values()},
    "visit_detail": "visit_detail_start_date",
    "specimen": "specimen_date",
    "dose_era": "dose_era_start_date",
    "payer_plan_period": "payer_plan_period_start_date",
}
"""Column with the date of a record, of every table of records."""

REQUIRED: Final[Mapping[str, frozenset[str]]] = {
    "person": frozenset({"person_id", "gender_concept_id", "year_of_birth"}),
    "observation_period": frozenset(
        {"person_id", "observation_period_start_date", "observation_period_end_date"}
    ),
    "concept_ancestor": frozenset({"ancestor_concept_id", "descendant_concept_id"}),
    **{name: frozenset({"person_id"}) | table.columns for name, table in EVENT_TABLES.items()},
}
"""Columns without which a table cannot be used, when it is there at all."""

ALWAYS_PRESENT: Final = ("person", "observation_period")
"""Tables without which a folder is no OMOP data set to us."""


_NAMES = frozenset({"lot_number", "sig", "provider_name", "npi", "dea", "care_site_name"})


def is_identifier(column: str) -> bool:
    """Whether a column names a person, a record, a place or a clinician, or quotes the source system.

    Such columns link rows or lead back to the person; no study sees them (EHDS Art. 66). Concept
    identifiers are codes, not identifiers.

    >>> is_identifier("person_id"), is_identifier("drug_concept_id"), is_identifier("drug_source_value")
    (True, False, True)
    """
    name = column.lower()
    if name.endswith("_source_value"):
        return True
    return (name.endswith("_id") and not name.endswith("concept_id")) or name in _NAMES
