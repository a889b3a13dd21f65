"""The law of permits as tables and pure functions: `check_x` raises, `can_x` answers."""

from __future__ import annotations

from salerno.permits.rules.application import (
    APPLICATION_FIELDS,
    Gap,
    check_complete,
    find_gaps,
    part_for,
)
from salerno.permits.rules.assessment import CRITERIA, can_grant, check_assessment
from salerno.permits.rules.clocks import CLOCKS, case_due, open_clocks, route_of, running
from salerno.permits.rules.opt_out import (
    binds,
    check_list,
    covers,
    is_final,
    level_named,
    list_salt,
    opt_out_list,
    opt_out_token,
    parse_levels,
)
from salerno.permits.rules.permit import (
    MAX_PERIOD_MONTHS,
    PERMIT_FIELDS,
    check_earlier,
    check_narrower,
    outcome_of,
    permit_state,
)
from salerno.permits.rules.policy import MEANINGS, PRESETS, SOURCES, parse_policy, preset, preset_of
from salerno.permits.rules.pseudonym import Pseudonyms, pseudonym_key
from salerno.permits.rules.states import (
    ACTS,
    APPLICATION_STATES,
    CLOSED_STATES,
    PERMIT_STATES,
    TURNS,
    can_step,
    overall_state,
)

__all__ = [
    "ACTS",
    "APPLICATION_FIELDS",
    "APPLICATION_STATES",
    "CLOCKS",
    "CLOSED_STATES",
    "CRITERIA",
    "MAX_PERIOD_MONTHS",
    "MEANINGS",
    "PERMIT_FIELDS",
    "PERMIT_STATES",
    "PRESETS",
    "SOURCES",
    "TURNS",
    "Gap",
    "Pseudonyms",
    "binds",
    "can_grant",
    "can_step",
    "case_due",
    "check_assessment",
    "check_complete",
    "check_earlier",
    "check_list",
    "check_narrower",
    "covers",
    "find_gaps",
    "is_final",
    "level_named",
    "list_salt",
    "open_clocks",
    "opt_out_list",
    "opt_out_token",
    "outcome_of",
    "overall_state",
    "parse_levels",
    "parse_policy",
    "part_for",
    "permit_state",
    "preset",
    "preset_of",
    "pseudonym_key",
    "route_of",
    "running",
]
