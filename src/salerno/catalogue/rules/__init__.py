"""Rules of the catalogue: completeness, normal form, authority. All pure."""

from salerno.catalogue.rules.authority import check_may_tell, is_agent
from salerno.catalogue.rules.completeness import (
    check_complete,
    check_description,
    explain,
    is_iri,
    mandatory,
)
from salerno.catalogue.rules.normal import clean, last_of_month, normal_form

__all__ = [
    "check_complete",
    "check_description",
    "check_may_tell",
    "clean",
    "explain",
    "is_agent",
    "is_iri",
    "last_of_month",
    "mandatory",
    "normal_form",
]
