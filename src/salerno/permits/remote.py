"""Peers over HTTP: deliveries between hub and access bodies, and what a holder asks its access body."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote

from salerno.adapters.database import Opens
from salerno.adapters.vault import Vault
from salerno.audit.model import Receipt
from salerno.identity.model import Credential, Participant
from salerno.kernel.errors import Invalid, NotFound, Refused, SalernoError, Unavailable
from salerno.kernel.time import Clock
from salerno.kernel.values import from_json, from_plain, to_json, to_plain
from salerno.permits.model import CasePart, DataPermit, OptOutList, PermitState, PseudonymKey, StatusReport
from salerno.permits.rules import Pseudonyms, check_list, is_final
from salerno.permits.service import FORWARD, REPORT, PermitDesk
from salerno.permits.wire import is_revoked


class Peer(Protocol):
    """Signed calls to admitted participants; `identity.remote.PeerClient`."""

    def call(
        self,
        participant: Participant,
        method: str,
        path: str,
        json: Any = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Send a signed request and return the decoded JSON of the answer."""
        ...


Find = Callable[[str], Participant]
"""Finds an admitted participant by DID."""

Handler = Callable[[dict[str, Any]], None]


class AccessBodyPeer:
    """An access body, as the hub sees it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def deliver(self, body: Participant, part: CasePart) -> None:
        """Deliver an application's part; a second delivery does no harm."""
        self._peer.call(body, "POST", "/api/exchange/cases", json=to_plain(part))


class HubPeer:
    """The hub, as an access body sees it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def report(self, hub: Participant, report: StatusReport) -> None:
        """Report a case's status; a repeated or late report does no harm."""
        path = f"/api/exchange/cases/{quote(report.case_id, safe='')}/status"
        self._peer.call(hub, "POST", path, json=to_plain(report))


def hub_jobs(open_desk: Opens[PermitDesk], peer: Peer) -> Mapping[str, Handler]:
    """The hub's job handlers by kind.

    A part that an access body refuses is tried again like one that does not reach it: the reason is
    most often that the two nodes have not admitted each other yet. The applicant sees the reason meanwhile.
    """
    bodies = AccessBodyPeer(peer)

    def forward(payload: dict[str, Any]) -> None:
        case_id, country = str(payload["case_id"]), str(payload["country"])
        with open_desk() as desk:
            body, part = desk.outgoing_part(
                case_id,
                country,
                int(payload["version"]),
                withdrawn=bool(payload.get("withdrawn")),
                appeal=bool(payload.get("appeal")),
            )
        try:
            bodies.deliver(body, part)
        except SalernoError as error:
            with open_desk() as desk:
                desk.note_undelivered(case_id, country, error)
            raise _worth_trying_again(error) from error

    return {FORWARD: forward}


def access_body_jobs(open_desk: Opens[PermitDesk], peer: Peer) -> Mapping[str, Handler]:
    """An access body's job handlers by kind."""
    hub_peer = HubPeer(peer)

    def report(payload: dict[str, Any]) -> None:
        # Always the newest status: two reports in a row say the same then, which does no harm.
        with open_desk() as desk:
            hub, status = desk.outgoing_report(str(payload["case_id"]))
        try:
            hub_peer.report(hub, status)
        except SalernoError as error:
            raise _worth_trying_again(error) from error

    return {REPORT: report}


def _worth_trying_again(error: SalernoError) -> SalernoError:
    if isinstance(error, Refused | NotFound):
        return Unavailable(error.code, error.what, rule=error.rule, remedy=error.remedy)
    return error


class HttpStatusLists:
    """Reads the status lists of access bodies, each again after `KEPT` of its credential's life.

    Args:
        fetch: Gets the text at a path of a participant.
        find: Finds the access body by DID.
        verify: Checks a list's credential: its issuer is admitted, its signature holds, it is valid now.
        clock: The time.
    """

    KEPT = timedelta(seconds=10)

    def __init__(
        self,
        fetch: Callable[[Participant, str], str],
        find: Find,
        verify: Callable[[str], Credential],
        clock: Clock,
    ) -> None:
        self._fetch = fetch
        self._find = find
        self._verify = verify
        self._clock = clock
        self._lists: dict[str, tuple[datetime, Credential]] = {}

    def is_revoked(self, permit: DataPermit) -> bool | None:
        """What the permit's list says; None where it has none, or none that can be had and believed."""
        issuer = self._find(permit.issuer)
        # The address is the permit's, but nothing is asked of anybody but its issuer.
        if not permit.status_list.startswith(f"{issuer.url}/"):
            return None
        try:
            return is_revoked(self._current(issuer, permit.status_list), permit)
        except SalernoError:
            return None

    def _current(self, issuer: Participant, url: str) -> Credential:
        now = self._clock.now()
        read_at, credential = self._lists.get(url, (None, None))
        if credential is None or read_at is None or not timedelta() <= now - read_at < self.KEPT:
            credential = self._verify(self._fetch(issuer, url.removeprefix(issuer.url)))
            self._lists[url] = (now, credential)
        return credential


class HttpPermitStatus:
    """Asks the access body that issued a permit for its state; each call asks, nothing is kept.

    Its status list is read beside: a permit that it names as revoked is so, and where the access body itself
    does not answer, a list that is still valid does.

    Args:
        peer: Sends signed calls.
        find: Finds the access body by DID.
        lists: Reads status lists; None reads none.
        timeout_seconds: Longest wait for the answer.
    """

    def __init__(
        self, peer: Peer, find: Find, lists: HttpStatusLists | None = None, *, timeout_seconds: float = 10
    ) -> None:
        self._peer = peer
        self._find = find
        self._lists = lists
        self._timeout_seconds = timeout_seconds

    def state(self, permit: DataPermit) -> PermitState:
        """The permit's state at the moment.

        Raises:
            Refused: ``permit-unknown``: its access body knows no such permit for this holder.
            Unavailable: The access body cannot be asked; then nothing may be read.
        """
        listed = self._lists.is_revoked(permit) if self._lists else None
        try:
            state = self.state_of(permit.id, permit.issuer)
        except Unavailable:
            if listed is None:
                raise
            state = PermitState.GRANTED
        return PermitState.REVOKED if listed and state is PermitState.GRANTED else state

    def state_of(self, permit_id: str, issuer_did: str) -> PermitState:
        """As `state`, by the permit's identifier and its access body's DID."""
        path = f"/api/exchange/permit-status?id={quote(permit_id, safe='')}"
        issuer = self._find(issuer_did)
        try:
            answer = self._peer.call(issuer, "GET", path, timeout_seconds=self._timeout_seconds)
        except NotFound as error:
            raise Refused(
                "permit-unknown",
                f"The access body {issuer_did} knows no permit {permit_id} for this holder",
                rule="EHDS Art. 68",
            ) from error
        try:
            return PermitState(answer["state"])
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable(
                "permit-status", f"{issuer_did} did not say in which state the permit is"
            ) from error


class HttpDeletions:
    """Gives the access body the proofs of what was deleted at the end of permits.

    Args:
        peer: Sends signed calls.
        find: Finds the access body by DID.
        access_body: DID of the access body in charge.
    """

    def __init__(self, peer: Peer, find: Find, access_body: str) -> None:
        self._peer = peer
        self._find = find
        self._access_body = access_body

    def prove(self, permit: str, receipt: Receipt) -> None:
        """Send the receipt of a permit's deletion; a second time does no harm."""
        body = {"permit": permit, "receipt": to_plain(receipt)}
        self._peer.call(self._find(self._access_body), "POST", "/api/exchange/deletions", json=body)


class HttpPseudonyms:
    """The pseudonyms of permits; their keys are kept sealed with all else that is kept under the permit.

    Args:
        peer: Sends signed calls.
        find: Finds the access body by DID.
        access_body: DID of the access body in charge.
        vault: Where the keys are kept, until the permit ends.
    """

    def __init__(self, peer: Peer, find: Find, access_body: str, vault: Vault) -> None:
        self._peer = peer
        self._find = find
        self._access_body = access_body
        self._vault = vault

    def of(self, permit_id: str) -> Pseudonyms:
        """What makes the pseudonyms of a permit.

        Raises:
            Refused: The permit is for anonymised data, or has ended.
            Unavailable: No key is kept, and the access body cannot be asked.
        """
        key = self._vault.read(permit_id, "pseudonyms")
        if key is None:
            path = f"/api/exchange/pseudonym-key?permit={quote(permit_id, safe='')}"
            answer = self._peer.call(self._find(self._access_body), "GET", path)
            given = from_plain(answer, PseudonymKey, what="the key of pseudonyms")
            key = given.key
            self._vault.write(permit_id, "pseudonyms", key, until=given.until)
        return Pseudonyms(key)


class HttpOptOuts:
    """The lists of who is left out under each permit, from the holder's access body.

    A permit's list never changes once it is final (`permits.rules.is_final`); it is kept then, sealed with
    all else that is kept under the permit, and never asked for again.

    Args:
        peer: Sends signed calls.
        find: Finds the access body by DID.
        access_body: DID of the access body in charge.
        vault: Where the lists are kept.
        timeout_seconds: Longest wait for the answer.
    """

    def __init__(
        self, peer: Peer, find: Find, access_body: str, vault: Vault, *, timeout_seconds: float = 60
    ) -> None:
        self._peer = peer
        self._find = find
        self._access_body = access_body
        self._vault = vault
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()

    def of(self, permit: DataPermit, dataset: str) -> OptOutList:
        """Who is left out of a data set under a permit.

        Raises:
            Unavailable: ``opt-outs-unavailable``: no list is kept, and the access body cannot be asked.
        """
        name = f"opt-outs {dataset}"
        with self._lock:
            kept = self._kept(permit, name)
            if kept is None:
                kept = self._asked(permit, dataset)
                if is_final(kept, permit.approved_at):
                    self._vault.write(permit.id, name, to_json(kept), until=permit.valid_until)
        return kept

    def _kept(self, permit: DataPermit, name: str) -> OptOutList | None:
        # A damaged copy is as good as none: the access body has the original.
        data = self._vault.read(permit.id, name)
        return None if data is None else _listed(data)

    def _asked(self, permit: DataPermit, dataset: str) -> OptOutList:
        path = f"/api/exchange/opt-outs?permit={quote(permit.id, safe='')}&dataset={quote(dataset, safe='')}"
        try:
            answer = self._peer.call(
                self._find(self._access_body), "GET", path, timeout_seconds=self._timeout_seconds
            )
            listed = from_plain(answer, OptOutList, what="the opt-out list")
            check_list(listed, permit.approved_at)
        except SalernoError as error:
            raise Unavailable(
                "opt-outs-unavailable",
                f"The access body {self._access_body} cannot be asked who opted out: {error.what}",
                rule="EHDS Art. 71",
                remedy="Try again when it can be reached; nothing is read meanwhile.",
            ) from error
        return listed


def _listed(data: bytes) -> OptOutList | None:
    try:
        return from_json(data, OptOutList, what="the kept opt-out list")
    except Invalid:
        return None
