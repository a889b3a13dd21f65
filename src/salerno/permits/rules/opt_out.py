"""The opt-out of Art. 71: whom it binds for which permit, and tokens that one holder alone can match."""

from __future__ import annotations

import hmac
import tomllib
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from salerno.kernel.codes import DataCategory, Purpose
from salerno.kernel.errors import Invalid, near
from salerno.kernel.time import to_text
from salerno.kernel.values import from_plain
from salerno.permits.model import EVERYTHING, OptOut, OptOutLevel, OptOutList
from salerno.permits.model.opt_out import TOKEN_BYTES

FINAL_AFTER = timedelta(minutes=1)
"""An opt-out of the instant of approval is stored by then; a list of that age never changes again."""

_RULE = "EHDS Art. 71"


def binds(opt_out: OptOut, approved_at: datetime) -> bool:
    """Whether an opt-out keeps the person's data out of a permit that was approved at an instant.

    It does when it stood at the approval, that instant included. A later opt-out leaves earlier
    permits as they are, and a later reversal does not put the person's data back into them.

    Source:
        EHDS Art. 71(1)-(3).
    """
    return opt_out.since <= approved_at and (opt_out.until is None or approved_at < opt_out.until)


def covers(level: OptOutLevel, purpose: Purpose, categories: Collection[str]) -> bool:
    """Whether an opt-out of a level is from a purpose and a data set.

    Args:
        level: What persons opted out from.
        purpose: The permit's.
        categories: The data set's; where none is known, every level by category covers it.
    """
    of_purpose = not level.purposes or purpose in level.purposes
    return of_purpose and (
        not level.categories or not categories or bool(set(level.categories) & set(categories))
    )


def parse_levels(text: str) -> tuple[OptOutLevel, ...]:
    """The levels of a country from TOML: one table per level, with title, purposes and categories.

    All secondary use is always the first.

    Raises:
        Invalid: A level, purpose or category is not of the right kind.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid("opt-out-levels", f"The levels of the opt-out are not TOML: {error}") from None
    return (EVERYTHING, *(_level(name, table) for name, table in tables.items()))


def _level(name: str, table: Any) -> OptOutLevel:
    known = ("title", "purposes", "categories")
    if not isinstance(table, Mapping) or not table.get("title"):
        raise Invalid("opt-out-levels", f"The level {name!r} has no title", rule=_RULE)
    for key in table:
        if key not in known:
            raise Invalid("opt-out-levels", f"The level {name!r} has no {key!r}", remedy=near(key, known))
    for key, codes in (("purposes", Purpose), ("categories", DataCategory)):
        for code in table.get(key, ()):
            if code not in list(codes):
                raise Invalid("opt-out-levels", f"{code!r} is not one of the {key}", remedy=near(code, codes))
    level = from_plain({**table, "name": name}, OptOutLevel, what=f"the level {name!r}")
    if not level.purposes and not level.categories:
        raise Invalid(
            "opt-out-levels",
            f"The level {name!r} names neither purposes nor categories",
            remedy="Leave it out: to opt out of all secondary use is always possible.",
        )
    return level


def level_named(name: str, levels: Collection[OptOutLevel]) -> OptOutLevel:
    """The level of a name.

    Raises:
        Invalid: ``opt-out-level``: the country has none of that name.
    """
    found = next((level for level in levels if level.name == name), None)
    if found is None:
        raise Invalid(
            "opt-out-level",
            f"One cannot opt out of {name!r} alone here",
            rule=_RULE,
            remedy=near(name, [level.name for level in levels if level.name]) or "Opt out of all.",
        )
    return found


def list_salt(secret: bytes, *parts: str) -> str:
    """The salt of one list, derived from the access body's secret.

    Args:
        secret: The access body's opt-out secret, 32 random bytes that never leave it.
        parts: Whose list of what: DID of the holder, the permit, the data set.
    """
    name = "\0".join(("salerno opt-out list", *parts)).encode()
    return hmac.new(secret, name, sha256).hexdigest()[:32]


def opt_out_token(salt: str, person: str) -> bytes:
    """Token of a person under one list's salt: the first 128 bits of SHA-256 over salt and identifier.

    Every engine can compute it where the data are. As it is cut, nothing can be appended to an identifier
    whose token is known. Tokens of one person in two lists have nothing in common without the salts.
    """
    return sha256((salt + person).encode()).digest()[:TOKEN_BYTES]


def opt_out_list(persons: Iterable[str], salt: str, as_of: datetime) -> OptOutList:
    """The list of persons under a salt; sorted, as the order in which they opted out is nobody's business."""
    tokens = {sha256((salt + person).encode()).digest()[:TOKEN_BYTES] for person in persons}
    return OptOutList(salt=salt, tokens=b"".join(sorted(tokens)), as_of=as_of)


def check_list(listed: OptOutList, approved_at: datetime) -> None:
    """Check that a list from elsewhere is one, and can know everybody who had opted out at an approval.

    Raises:
        Invalid: ``opt-out-list``.
    """
    salted = len(listed.salt) == 32 and set(listed.salt) <= set("0123456789abcdef")
    if not salted or len(listed.tokens) % TOKEN_BYTES or listed.as_of < approved_at:
        raise Invalid(
            "opt-out-list", f"This is no opt-out list of {to_text(approved_at)} or later", rule=_RULE
        )


def is_final(listed: OptOutList, approved_at: datetime) -> bool:
    """Whether a permit's list holds everybody for good, so that it need not be asked for again."""
    return listed.as_of >= approved_at + FINAL_AFTER
