"""Session tokens kept between commands, in a file that only its owner can read."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from salerno.kernel.errors import Invalid, Refused

_FILE = "sessions.json"


def config_folder() -> Path:
    """The user's folder for Salerno's settings: ``SALERNO_CONFIG``, else the platform's usual place."""
    own = os.environ.get("SALERNO_CONFIG")
    if own:
        return Path(own)
    if sys.platform == "win32":  # pragma: no cover
        return Path(os.environ.get("APPDATA", Path.home())) / "salerno"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "salerno"


def saved_token(url: str) -> str:
    """The token that was kept for a node, or an empty text."""
    return str(_read().get("tokens", {}).get(url, ""))


def last_url() -> str:
    """The node at which the user logged in last, or an empty text."""
    return str(_read().get("last", ""))


def save_token(url: str, token: str) -> Path:
    """Keep a token; the file is made with mode 0600 before anything is written to it."""
    kept = _read()
    kept["tokens"] = {**kept.get("tokens", {}), url: token}
    kept["last"] = url
    return _write(kept)


def forget_token(url: str) -> None:
    """Drop the token of a node."""
    kept = _read()
    if kept.get("tokens", {}).pop(url, None) is not None:
        _write(kept)


def _read() -> dict[str, Any]:
    path = config_folder() / _FILE
    if not path.exists():
        return {}
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise Refused(
            "token-file-open",
            f"Other users of this machine can read {path}",
            remedy=f"Run: chmod 600 {path}, and log in again in case somebody has.",
        )
    try:
        kept = json.loads(path.read_text())
        return kept if isinstance(kept, dict) else {}
    except ValueError as error:
        raise Invalid("token-file", f"{path} is not JSON", remedy="Delete it and log in again.") from error


def _write(kept: dict[str, Any]) -> Path:
    folder = config_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / _FILE
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(kept, file, indent=1)
    fresh.replace(path)
    return path
