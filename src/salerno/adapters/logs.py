"""Log lines: one JSON object per line on standard error, without known personal fields and secrets."""

from __future__ import annotations

import json as json_text
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

LEFT_OUT = frozenset(
    {
        "authorization", "birth_date", "body", "content", "cookie", "email", "family_name", "given_name",
        "headers", "login", "password", "patient", "patient_id", "person", "person_id", "pseudonym", "row",
        "rows", "secret", "session", "token",
    }
)  # fmt: skip
"""Fields of log records whose values are never written."""

_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*|(?i:bearer\s+[\w.~+/=-]+)")
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class PersonalDataFilter(logging.Filter):
    """Replaces the values of known personal fields, and tokens in the text, before anything is written."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the record; every record passes."""
        for name in vars(record).keys() - _OWN:
            if name.lower() in LEFT_OUT:
                setattr(record, name, "[left out]")
        if isinstance(record.args, dict):
            record.args = {
                k: "[left out]" if str(k).lower() in LEFT_OUT else v for k, v in record.args.items()
            }
        text = record.getMessage()
        cleaned = _TOKEN.sub("[token]", text)
        if cleaned != text:
            record.msg, record.args = cleaned, None
        return True


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name,
            "message": record.getMessage(),
        }
        line.update({k: v for k, v in vars(record).items() if k not in _OWN})
        if record.exc_info:
            line["error"] = _TOKEN.sub("[token]", self.formatException(record.exc_info))
        return json_text.dumps(line, default=str, ensure_ascii=False)


def configure(level: str = "INFO", json: bool = True) -> None:
    """Send all logs to standard error; a second call replaces the first.

    Args:
        level: Lowest level that is written, e.g. ``INFO``.
        json: JSON lines, or plain text for people.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(PersonalDataFilter())
    plain = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(JsonLines() if json else plain)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Their request lines hold full addresses, whose queries may name persons.
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
