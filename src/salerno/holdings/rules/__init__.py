"""What must hold before a row is read: the frame makes sense, and the permit covers all of the request."""

from salerno.holdings.rules.apps import (
    Bundle,
    pack_bundle,
    pack_folder,
    read_bundle,
    render_arrays,
    split_rows,
)
from salerno.holdings.rules.frame import FRAME_COLUMNS, check_frame, columns_needed, definitions
from salerno.holdings.rules.permit import (
    Columns,
    check_columns,
    check_enough_persons,
    check_permit_covers,
    check_permit_live,
    scope_for,
)

__all__ = [
    "FRAME_COLUMNS",
    "Bundle",
    "Columns",
    "check_columns",
    "check_enough_persons",
    "check_frame",
    "check_permit_covers",
    "check_permit_live",
    "columns_needed",
    "definitions",
    "pack_bundle",
    "pack_folder",
    "read_bundle",
    "render_arrays",
    "scope_for",
    "split_rows",
]
