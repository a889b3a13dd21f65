"""The one door through which a study reads a holder's rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import ibis
import pyarrow as pa

from salerno.holdings.model import (
    NO_NUMBERS,
    AccessRequest,
    App,
    Dictionary,
    Holding,
    KeptFor,
    Learning,
    Numbers,
    Task,
    Trained,
)
from salerno.holdings.rules import check_enough_persons, check_permit_covers, check_permit_live, scope_for
from salerno.holdings.service.connecting import Holdings
from salerno.holdings.service.ports import (
    Apps,
    AppSession,
    CredentialVerifier,
    Engine,
    OpenedFrame,
    OptOutRegister,
    PermitStatus,
    Persons,
    Stage,
    Tell,
    Trace,
)
from salerno.identity.model import Participant
from salerno.kernel.errors import Conflict, Refused, SalernoError
from salerno.kernel.time import Clock
from salerno.permits.model import DataPermit, DisclosurePolicy, PermitState
from salerno.permits.wire import parse_permit

STATUS_LIFETIME = timedelta(seconds=30)
"""How long an access body's word on a permit is believed before it is asked again."""

_SESSIONS_KEPT = 2
"""Apps that a view keeps loaded; one that is put out is loaded again for its next round."""

Build = Callable[[ibis.Table], ibis.Table]
"""From the view to one aggregate over it."""


class PermittedView:
    """The rows that one permit lets one question read, and the only way to compute on them.

    Made by `ViewDoor.open`. Each `run` asks the clock and the access body again and leaves an entry in the
    audit log before anything is handed over. No direct identifier is in the view: persons are linked
    inside the engine by the source's own key, and neither that key nor any derived from it is a column, so
    there is no pseudonym that could be reused across permits (Art. 66).
    """

    def __init__(
        self,
        *,
        frame: OpenedFrame,
        permit: DataPermit,
        policy: DisclosurePolicy,
        holding: Holding,
        request: AccessRequest,
        check_live: Callable[[DataPermit], None],
        open_trace: Callable[[], AbstractContextManager[Trace]],
        allowed: Callable[[str], App],
        apps: Apps,
    ) -> None:
        self._frame = frame
        self._holding = holding
        self._request = request
        self._check_live = check_live
        self._open_trace = open_trace
        self._allowed = allowed
        self._apps = apps
        self._sessions: dict[str, AppSession] = {}
        self._lock = Lock()
        self._closed = False
        self.permit = permit
        self.policy = policy

    @property
    def dictionary(self) -> Dictionary:
        """Columns of the view with the levels that enough persons have; without ``holder``."""
        return self._frame.dictionary

    @property
    def n_persons(self) -> int:
        """Persons in the view; 0 or at least `policy.min_cell`. Never leaves the node as it is."""
        return self._frame.n_persons

    @property
    def dataset(self) -> str:
        """IRI of the data set."""
        return self._holding.dataset

    def run(
        self, build: Build, stages: Sequence[Stage] = (), numbers: Callable[[], Numbers] = lambda: NO_NUMBERS
    ) -> pa.Table:
        """Compute one aggregate over the view on the holder's own engine.

        Args:
            build: From the view, a table with the dictionary's columns and ``holder``, to an aggregate.
            stages: Rows that are made of the view first, and of which `build` makes the aggregate then.
            numbers: Values of the aggregate's parameters, asked for when it is built.

        Returns:
            The aggregated rows, as an Arrow table of the expression's schema.

        Raises:
            Refused: The permit is no longer in force, or the expression is not an aggregate of the view.
            Unavailable: The access body cannot be asked, or the engine failed.
            Conflict: The view is closed.
        """
        with self._lock:
            self._check_open()
            try:
                self._check_live(self.permit)
                with self._frame.staged(stages) as rows:
                    expression = build(rows)
                    self._frame.check(expression, rows)
                    result = self._frame.compute(expression, numbers())
            except Refused as refusal:
                self._leave_trace("view-refused", {"code": refusal.code})
                raise
            self._leave_trace("view-read", {"columns": len(expression.columns)})
            return result

    def train(self, build: Build, learning: Learning, task: Task) -> Trained:
        """Have an app that the steward has allowed do its part of a round on the view's rows.

        The rows go into a sandbox of this node and no further; only checked numbers come out.

        Args:
            build: From the view to rows of it.
            learning: Which app trains what.
            task: What it is asked for; without arrays it is loaded anew.

        Raises:
            Refused: The permit is no longer in force, the app is not allowed or took more than it may have,
            or
                there is no sandbox here.
            Invalid: The app did not do what was asked.
            Unavailable: The access body cannot be asked.
            Conflict: The view is closed.
        """
        with self._lock:
            self._check_open()
            try:
                self._check_live(self.permit)
                app = self._allowed(learning.app)
            except Refused as refusal:
                self._leave_trace("view-refused", {"code": refusal.code})
                raise
            session = self._session(app, build, learning, again=not task.arrays)
            self._leave_trace("view-trained-on", {"app": app.digest})
        # Out of the lock: a round may take minutes, and the view has other questions.
        return session.run(task)

    def _session(self, app: App, build: Build, learning: Learning, *, again: bool) -> AppSession:
        """A question's app beside its rows: loaded again for its first round, or where it was lost."""
        if again and learning.session in self._sessions:
            self._sessions.pop(learning.session).close()
        if learning.session not in self._sessions:
            while len(self._sessions) >= _SESSIONS_KEPT:
                self._sessions.pop(next(iter(self._sessions))).close()
            self._sessions[learning.session] = self._apps.open(
                app, learning, self._frame.rows(build(self._frame.table))
            )
        return self._sessions[learning.session]

    def _check_open(self) -> None:
        if self._closed:
            raise Conflict("view-closed", "The view has been closed", remedy="Open it again.")

    def persons(self, build: Tell, secret: bytes, most: int = 0) -> list[Persons]:
        """Whom figures rest on, for the holder's own ledger: it never leaves the node.

        Args:
            build: From the view, with the key of the person as one more column, to what is told.
            secret: Key of the persons' numbers.
            most: How many of the largest contributors to a sum to look at; 0 for no look at sums.

        Raises:
            Refused: The permit is no longer in force.
            Unavailable: The access body cannot be asked, or the engine failed.
            Conflict: The view is closed.
        """
        with self._lock:
            self._check_open()
            self._check_live(self.permit)
            return self._frame.persons(build, secret, most)

    def close(self) -> None:
        """Drop what the engine kept for the view."""
        with self._lock:
            if not self._closed:
                self._closed = True
                for session in self._sessions.values():
                    session.close()
                self._frame.close()

    def __enter__(self) -> PermittedView:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _leave_trace(self, act: str, detail: Mapping[str, Any]) -> None:
        with self._open_trace() as trace:
            trace.append(
                actor=self._request.user,
                act=act,
                subject=self.permit.id,
                detail={"dataset": self._holding.dataset, "method": self._request.method, **detail},
                rule="EHDS Art. 73(1)(e)",
            )


class ViewDoor:
    """The one door to a holder's rows; made once per node, safe to use from several threads.

    Args:
        holdings: Opens a transaction with the holder's holdings.
        trace: Opens a transaction with the audit log.
        engine: Computes on the data.
        verifier: Tells whether a permit is genuine.
        status: Tells what has become of it.
        opt_outs: Gives the opt-outs.
        clock: The time.
        own: This holder.
        apps: Runs apps in sandboxes.
    """

    def __init__(
        self,
        *,
        holdings: Callable[[], AbstractContextManager[Holdings]],
        trace: Callable[[], AbstractContextManager[Trace]],
        engine: Engine,
        verifier: CredentialVerifier,
        status: PermitStatus,
        opt_outs: OptOutRegister,
        clock: Clock,
        own: Participant,
        apps: Apps,
    ) -> None:
        self._apps = apps
        self._holdings = holdings
        self._trace = trace
        self._engine = engine
        self._verifier = verifier
        self._status = status
        self._opt_outs = opt_outs
        self._clock = clock
        self._own = own
        self._lock = Lock()
        self._states: dict[str, tuple[datetime, PermitState]] = {}

    def open(self, request: AccessRequest) -> PermittedView:
        """Open the view that a request may have, or say why it may have none.

        Args:
            request: Who asks, for what, with which permit.

        Raises:
            Refused: Credential, permit, opt-outs or the number of persons forbid it; it is in the audit log.
            Invalid: The frame does not fit the holding.
            Unavailable: Access body, opt-out list or data cannot be reached; nothing is read then.
        """
        seen: dict[str, str] = {}
        try:
            return self._open(request, seen)
        except SalernoError as error:
            with self._trace() as trace:
                trace.append(
                    actor=request.user,
                    act="view-refused",
                    subject=seen.get("permit", ""),
                    detail={"code": error.code, "method": request.method, "environment": request.environment},
                    rule=error.rule,
                )
            raise

    def _open(self, request: AccessRequest, seen: dict[str, str]) -> PermittedView:
        permit = self._genuine(request.permit_token)
        seen["permit"] = permit.id
        scope = scope_for(permit, request.dataset, self._own.did)
        with self._holdings() as holdings:
            holding = holdings.of_dataset(scope.dataset)
        now = self._clock.now()
        # First all that needs no peer and no data, so that a permit at fault costs nobody anything.
        check_permit_covers(permit, request, holding, now, self._own.did)
        needed = self._engine.columns_needed(holding, request.frame, request.columns)
        state = self._fresh_state(permit)
        scope = check_permit_covers(permit, request, holding, now, self._own.did, state=state, needed=needed)
        left_out = self._opt_outs.of(permit, scope.dataset)
        policy = holding.policy.stricter(permit.policy)
        frame = self._engine.open(
            holding,
            request.frame,
            scope,
            left_out=left_out,
            min_cell=policy.min_cell,
            holder_name=self._own.name,
            kept_for=KeptFor(permit=permit.id, until=permit.valid_until),
        )
        try:
            check_enough_persons(frame.n_persons, policy.min_cell)
            with self._trace() as trace:
                trace.append(
                    actor=request.user,
                    act="view-opened",
                    subject=permit.id,
                    detail={
                        "dataset": holding.dataset,
                        "method": request.method,
                        "environment": request.environment,
                        "purpose": request.purpose,
                        "columns": len(frame.dictionary.variables),
                    },
                    rule="EHDS Art. 73(1)(e)",
                )
        except BaseException:
            frame.close()
            raise
        return PermittedView(
            frame=frame,
            permit=permit,
            policy=policy,
            holding=holding,
            request=request,
            check_live=self._check_live,
            open_trace=self._trace,
            allowed=lambda digest: self._allowed(holding.id, digest),
            apps=self._apps,
        )

    def _allowed(self, holding_id: str, digest: str) -> App:
        with self._holdings() as holdings:
            return holdings.app(holding_id, digest)

    def _genuine(self, token: str) -> DataPermit:
        credential = self._verifier.verify(token)
        if not self._own.access_body or credential.issuer != self._own.access_body:
            raise Refused(
                "permit-issuer",
                f"{credential.issuer} is not the access body in charge of this holder",
                rule="EHDS Art. 57(1)(a), 68",
                remedy=f"Apply to {self._own.access_body or 'the access body that the operator sets'}.",
            )
        permit = parse_permit(credential)
        if permit.issuer != credential.issuer:
            raise Refused(
                "permit-issuer",
                f"Permit {permit.id} names another issuer than the one who signed it",
                rule="EHDS Art. 68",
            )
        return permit

    def _fresh_state(self, permit: DataPermit) -> PermitState:
        asked_at = self._clock.now()
        state = self._status.state(permit)
        with self._lock:
            self._states[permit.id] = (asked_at, state)
        return state

    def _check_live(self, permit: DataPermit) -> None:
        now = self._clock.now()
        with self._lock:
            asked_at, state = self._states.get(permit.id, (now - 2 * STATUS_LIFETIME, PermitState.GRANTED))
        if not timedelta() <= now - asked_at <= STATUS_LIFETIME:
            state = self._fresh_state(permit)
        check_permit_live(permit, now, state)
