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
from salerno.permits.rules.clocks import CLOCKS, completion_due, decision_due
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
    check_narrower,
    permit_state,
)
from salerno.permits.rules.policy import MEANINGS, PRESETS, SOURCES, parse_policy, preset, preset_of
from salerno.permits.rules.states import (
    APPLICATION_STATES,
    FINAL_STATES,
    PERMIT_STATES,
    can_step,
    overall_state,
)

__all__ = [
    "APPLICATION_FIELDS",
    "APPLICATION_STATES",
    "CLOCKS",
    "CRITERIA",
    "FINAL_STATES",
    "MAX_PERIOD_MONTHS",
    "MEANINGS",
    "PERMIT_FIELDS",
    "PERMIT_STATES",
    "PRESETS",
    "SOURCES",
    "Gap",
    "binds",
    "can_grant",
    "can_step",
    "check_assessment",
    "check_complete",
    "check_list",
    "check_narrower",
    "completion_due",
    "covers",
    "decision_due",
    "find_gaps",
    "is_final",
    "level_named",
    "list_salt",
    "opt_out_list",
    "opt_out_token",
    "overall_state",
    "parse_levels",
    "parse_policy",
    "part_for",
    "permit_state",
    "preset",
    "preset_of",
]
