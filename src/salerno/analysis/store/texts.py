"""Values as text columns."""

from __future__ import annotations

from typing import Any

from salerno.analysis.model import Scope
from salerno.kernel.values import from_json, to_json


def parse_scope(text: str) -> Scope | None:
    """An agreed scope, None before there is one."""
    return None if text == "null" else from_json(text, Scope, what="the scope")


def text(value: Any) -> str:
    """A value as JSON text."""
    return to_json(value).decode()
