"""What the coordinator and the holders tell each other in a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from salerno.analysis.model.method import Scope
from salerno.holdings.model import Dictionary, StudyFrame
from salerno.permits.model import DisclosurePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySpec:
    """Name, shape and kind (``i`` count, ``f`` fixed point) of one array in a share."""

    name: str
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOpening:
    """What the coordinator tells each holder once, before the rounds of a run.

    Args:
        study, question_id: Identifiers at the coordinator.
        run: 1, then 2, … when a lost holder made the coordinator start again.
        question: The question as the researcher asked it.
        frame: What is read of each holding.
        permits: All permits of the study as VC-JWT; a holder uses the one that covers its data set.
        dataset: IRI of the data set to read, by holder DID.
        user: Account identifier of the researcher.
        purpose: Purpose code.
    """

    study: str
    question_id: str
    run: int
    question: dict[str, Any]
    frame: StudyFrame
    permits: tuple[str, ...]
    dataset: dict[str, str]
    user: str
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One holder's masked sums of one round, or its refusal.

    Args:
        header: Compact JWS by the holder over `ShareHeader`.
        words: Masked words, little-endian uint64; empty for a refusal.
    """

    header: str
    words: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareHeader:
    """What a holder signs about its share: where it belongs, its layout and the hash of its words.

    Args:
        scope: Digest of the agreed scope.
        refusal: Problem JSON when the holder refuses; the share then has no words.
        tags: What proves the share to each other holder, one after the other as in `holders`; see `vouching`.
    """

    question_id: str
    run: int
    round: int
    scope: str
    holders: tuple[str, ...]
    arrays: tuple[ArraySpec, ...]
    words_sha256: str
    tags: bytes = b""
    refusal: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A holder's signed reply to a `RunOpening`: what it would compute on, or why it refuses.

    Args:
        opening: SHA-256 of the opening's JWS that it replies to.
        dictionary: Columns of its frame; None when it refuses.
        policy: Stricter of its own policy and the permit's.
        permit: Identifier of the permit that it used.
        refusal: Problem JSON when it refuses.
    """

    question_id: str
    run: int
    holder: str
    opening: str
    dictionary: Dictionary | None = None
    policy: DisclosurePolicy = field(default_factory=DisclosurePolicy)
    permit: str = ""
    refusal: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundCall:
    """What the coordinator signs when it asks for a round.

    Args:
        scope: Digest of the agreed scope.
        previous: SHA-256 of each share's header of the round before, in the order of the scope's holders;
            empty in round 1.
    """

    question_id: str
    run: int
    round: int
    scope: str
    previous: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One thing that the coordinator wants of a holder.

    Args:
        kind: ``opening`` or ``round``.
        token: Compact JWS by the coordinator over a `RunOpening` or a `RoundCall`.
        scope: In round 1, what all agree on.
        previous: After round 1, every holder's share of the round before, in the order of the scope.
    """

    kind: str
    token: str
    scope: Scope | None = None
    previous: tuple[Share, ...] = ()
