"""The opt-out of Art. 71: whom it binds for which permit, and tokens that one holder alone can match."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

from salerno.kernel.errors import Unavailable
from salerno.kernel.time import to_text
from salerno.permits.model import DataPermit, OptOut, OptOutList


def binds(opt_out: OptOut, approved_at: datetime) -> bool:
    """Whether an opt-out keeps the person's data out of a permit that was approved at an instant.

    It does when it stood at the approval, that instant included. A later opt-out leaves earlier
    permits as they are, and a later reversal does not put the person's data back into them.

    Source:
        EHDS Art. 71(1)-(3).
    """
    return opt_out.since <= approved_at and (opt_out.until is None or approved_at < opt_out.until)


def binding_tokens(opt_outs: OptOutList, permit: DataPermit) -> frozenset[str]:
    """Tokens of the persons who are left out of a permit; none when it records an exception (Art. 71(4)).

    Raises:
        Unavailable: The list is older than the permit's approval, so it could miss somebody.
    """
    check_covers(opt_outs, permit)
    if permit.opt_out_exception:
        return frozenset()
    return frozenset(o.person for o in opt_outs.entries if binds(o, permit.approved_at))


def check_covers(opt_outs: OptOutList, permit: DataPermit) -> None:
    """Check that a list is recent enough to know everybody who had opted out at the approval.

    Raises:
        Unavailable: ``opt-outs-stale``.
    """
    if opt_outs.as_of < permit.approved_at:
        raise Unavailable(
            "opt-outs-stale",
            f"The opt-out list of {to_text(opt_outs.as_of)} is older than the permit",
            rule="EHDS Art. 71",
            remedy="Try again when the access body can be reached.",
        )


def holder_salt(secret: bytes, holder_did: str) -> bytes:
    """The salt of one holder, derived from the access body's secret.

    Args:
        secret: The access body's opt-out secret, 32 random bytes that never leave it.
        holder_did: DID of the holder.
    """
    return hmac.new(secret, b"salerno opt-out salt\0" + holder_did.encode(), hashlib.sha256).digest()


def opt_out_token(salt: bytes, person: str) -> str:
    """Token of a person under one holder's salt: HMAC-SHA256, hexadecimal.

    Two holders' tokens of the same person have nothing in common without the salts.
    """
    return hmac.new(salt, person.encode(), hashlib.sha256).hexdigest()
