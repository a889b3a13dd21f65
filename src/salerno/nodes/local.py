"""A throwaway data space in this process: one holder per file, the real path from permit to answer.

Nothing is left out but the network: each node has its own keys, database and log; permits are applied
for, granted and verified; shares are signed and masked; disclosure control is on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from salerno.adapters.keys import KeyRing
from salerno.analysis.model import QuestionState, Study
from salerno.analysis.remote import LoopbackHub
from salerno.analysis.service.agent import Agent
from salerno.catalogue.model import DatasetDescription
from salerno.holdings.model import SourceKind, StudyFrame
from salerno.identity.model import ParticipantRole
from salerno.identity.rules import StaticKeyResolver, make_document
from salerno.kernel.codes import Purpose
from salerno.kernel.errors import Invalid, parse_problem
from salerno.kernel.values import from_plain
from salerno.nodes.assemble import Node
from salerno.nodes.settings import NodeSettings
from salerno.permits.model import (
    Assessment,
    CasePart,
    Criterion,
    DataAccessApplication,
    DataPermit,
    DataScope,
    DisclosurePolicy,
    IssuedPermit,
    NamedPerson,
    OptOutList,
    PermitState,
    Proposal,
    Terms,
    Verdict,
)
from salerno.permits.rules import CRITERIA

COUNTRY = "EU"
_FIRST_PORT = 1


def try_question(
    sites: Sequence[Path | str],
    question: Mapping[str, Any],
    *,
    threshold: int | None = None,
    masks: bool = True,
    frame: Mapping[str, Any] | None = None,
    apps: Sequence[bytes] = (),
    app_python: str = "",
) -> dict[str, Any]:
    """Ask one question of files, each standing for one holder.

    Args:
        sites: CSV or Parquet files, or OMOP folders.
        question: The question as JSON.
        threshold: Smallest number of persons behind a figure; None means the default policy.
        masks: False sends sums unmasked.
        frame: Study frame as JSON, for OMOP.
        apps: Bundles of apps that every holder lets run.
        app_python: Interpreter that runs them; see `Holdings.allow_app`.

    Returns:
        The answer as JSON.

    Raises:
        Refused: Permit or disclosure control refuse the question.
        Invalid: A file, the question or the frame is wrong.
    """
    with LocalSpace(
        sites, threshold=threshold, masks=masks, frame=frame, apps=apps, app_python=app_python
    ) as space:
        return space.ask(question)


class LocalSpace:
    """The space, open as long as it is used; several questions share its permit and views.

    Args:
        sites, threshold, masks, frame: See `try_question`.
        names: Of the holders, for people; by default those of the files.
        policy: The holders' and the permit's disclosure policy, instead of a threshold and masks.
        apps, app_python: Bundles of apps that every holder lets run, and the interpreter that runs them.
        memory_mb: Memory of each holder's analysis engine before it spills to disk.
    """

    def __init__(
        self,
        sites: Sequence[Path | str],
        *,
        threshold: int | None = None,
        masks: bool = True,
        frame: Mapping[str, Any] | None = None,
        names: Sequence[str] = (),
        policy: DisclosurePolicy | None = None,
        apps: Sequence[bytes] = (),
        app_python: str = "",
        memory_mb: int = 1024,
    ) -> None:
        if not sites:
            raise Invalid("no-site", "No site was given", remedy="Give one file per holder.")
        self._policy = policy or _policy(threshold, masks)
        self._memory_mb = memory_mb
        self._apps, self._app_python = tuple(apps), app_python
        self._frame = _frame(frame)
        self._sites = [str(site) for site in sites]
        self._names = list(names) or _holder_names(self._sites)
        self._exit = ExitStack()

    def __enter__(self) -> LocalSpace:
        try:
            self._open()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def ask(self, question: Mapping[str, Any], *, frame: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask a question; see `try_question`.

        Args:
            question: The question as JSON.
            frame: Another study frame than the space's, under the same permit.
        """
        study = self._study if frame is None else self._open_study(_frame(frame))
        asked = self._hub.coordinator.ask(study.id, question, self._user)
        self._hub.coordinator.run(asked.id)
        done = self._hub.coordinator.question(asked.id, self._user)
        if done.state is QuestionState.FAILED or done.answer is None:
            problem = done.error or {}
            raise parse_problem(problem, int(problem.get("status", 503)))
        return done.answer

    def revoke(self, reason: str) -> None:
        """Have the access body revoke the space's permit."""
        with self._body.permits() as desk:
            desk.revoke(self._study.permits[0], f"{self._body.own.did}#officer", reason)

    # making it

    def _open(self) -> None:
        folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="salerno-try-")))
        self._documents: dict[str, Any] = {}
        names = self._names
        self._hub = self._node(folder / "hub", ParticipantRole.HUB, "Hub", _FIRST_PORT)
        self._body = self._node(folder / "body", ParticipantRole.ACCESS_BODY, "Access body", _FIRST_PORT + 1)
        self._user = f"{self._hub.own.did}#you"
        with ThreadPoolExecutor(max_workers=len(names)) as pool:
            self._holders = list(
                pool.map(
                    lambda numbered: self._node(
                        folder / f"holder-{numbered[0]}",
                        ParticipantRole.HOLDER,
                        numbered[1],
                        _FIRST_PORT + 2 + numbered[0],
                    ),
                    enumerate(names),
                )
            )
            self._admit([self._hub, self._body, *self._holders])
            described = list(pool.map(self._connect, self._holders, self._sites, names))
        self._issued = self._permit(described)
        self._study = self._open_study(self._frame)
        self._exit.callback(self._hub.coordinator.stop)
        for holder in self._holders:
            hub = LoopbackHub(self._hub.coordinator, holder.own.did)
            agent = Agent(
                hub,
                holder.agent_parts(self._hub.own.did),
                lanes=1,
                wait_seconds=1.0,
            )
            self._exit.callback(agent.stop)
            self._exit.callback(hub.close)  # first, so that nobody is left to look at the hub's database
            agent.start()

    def _open_study(self, frame: StudyFrame) -> Study:
        return self._hub.coordinator.open_study("Try", self._user, Purpose.RESEARCH, [self._issued], frame)

    def _node(self, folder: Path, role: ParticipantRole, name: str, port: int) -> Node:
        body = f"did:web:127.0.0.1%3A{_FIRST_PORT + 1}" if role is ParticipantRole.HOLDER else ""
        settings = NodeSettings(
            folder=folder,
            role=role,
            name=name,
            country=COUNTRY,
            url=f"http://127.0.0.1:{port}",  # only its name is used: nothing listens
            access_body=body,
            memory_mb=self._memory_mb,
        )
        folder.mkdir()
        keys = KeyRing.generate()
        self._documents[settings.did] = make_document(settings.did, keys)
        node = Node(
            settings,
            keys=keys,
            resolver=StaticKeyResolver(self._documents),
            status=_Desk(self),
            opt_outs=_Desk(self, settings.did),
        )
        self._exit.callback(node.close)
        return node

    def _admit(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            with node.trust() as trust:
                for other in nodes:
                    if other is not node:
                        trust.admit(other.own, by=node.operator)

    def _connect(self, node: Node, site: str, name: str) -> DatasetDescription:
        holding = node.holding_desk.connect(
            "data",
            site,
            node.operator,
            kind=_kind(site),
            title=name,
            personal=False,
            policy=self._policy,
        )
        with node.holdings() as holdings:
            for bundle in self._apps:
                holdings.allow_app(holding.id, bundle, node.operator, python=self._app_python)
        return node.holding_desk.describe(holding.id, node.operator)

    def _permit(self, described: Sequence[DatasetDescription]) -> IssuedPermit:
        application = DataAccessApplication(
            title="Try",
            applicant="You",
            contact_email="you@localhost",
            persons=(NamedPerson(id=self._user, name="You", principal_investigator=True),),
            purpose=Purpose.RESEARCH,
            intended_use="Try a question on files of one's own.",
            expected_benefit="To see what the answer looks like.",
            data=tuple(
                DataScope(
                    dataset=one.iri,
                    holder=one.holder.iri,
                    country=COUNTRY,
                    tables={table.name: tuple(v.name for v in table.variables) for table in one.tables},
                )
                for one in described
            ),
            pseudonymised=True,
            why_not_anonymised="Sums are computed from rows.",
            gdpr_basis="The files are the user's own.",
            safeguards="Nothing leaves this machine.",
            lay_summary="A try.",
        )
        with self._hub.permits() as desk:
            case = desk.draft(application, self._user)
        part = CasePart(
            case_id=case.id,
            version=case.version,
            country=COUNTRY,
            application=application,
            applicant_id=self._user,
            submitted_at=datetime.now(UTC),
        )
        officer = f"{self._body.own.did}#officer"
        with self._body.permits() as desk:
            desk.receive(part, self._hub.own.did)
            desk.take_up(case.id, officer)
            desk.find_complete(case.id, officer)
            criteria = tuple(Criterion(letter=letter, met=True) for letter in CRITERIA)
            proposal = Proposal(
                verdict=Verdict.GRANT,
                assessment=Assessment(assessor=officer, criteria=criteria),
                terms=Terms(policy=self._policy),
            )
            desk.propose(case.id, officer, proposal, no_conflict=True)
            decided = desk.confirm(case.id, f"{officer}-2", no_conflict=True)
            return desk.status(decided.countries[COUNTRY].permit_id)

    def permit_state(self, permit: DataPermit) -> PermitState:
        """What the space's access body says of a permit."""
        with self._body.permits() as desk:
            return desk.status(permit.id).state

    def opt_outs_for(self, holder: str, permit: DataPermit, dataset: str) -> OptOutList:
        """What the space's access body tells a holder of opt-outs."""
        with self._body.permits() as desk:
            return desk.opt_outs_for(holder, permit.id, dataset)


class _Desk:
    """What a holder asks its access body, in the same process."""

    def __init__(self, space: LocalSpace, holder: str = "") -> None:
        self._space = space
        self._holder = holder

    def state(self, permit: DataPermit) -> PermitState:
        return self._space.permit_state(permit)

    def of(self, permit: DataPermit, dataset: str) -> OptOutList:
        return self._space.opt_outs_for(self._holder, permit, dataset)


def _frame(frame: Mapping[str, Any] | None) -> StudyFrame:
    return StudyFrame() if frame is None else from_plain(dict(frame), StudyFrame, what="the frame")


def _policy(threshold: int | None, masks: bool) -> DisclosurePolicy:
    default = DisclosurePolicy(masks=masks)
    if threshold is None:
        return default
    if threshold < 0:
        raise Invalid("threshold", f"A threshold cannot be {threshold}", remedy="Give 0 or more.")
    return DisclosurePolicy(min_cell=max(1, threshold), masks=masks)


def _holder_names(sites: Sequence[str]) -> list[str]:
    """A name for each site: the file's, with a number where two have the same."""
    stems = [Path(site).stem or "site" for site in sites]
    return [
        stem if stems.count(stem) == 1 else f"{stem} ({stems[:number].count(stem) + 1})"
        for number, stem in enumerate(stems)
    ]


def _kind(site: str) -> SourceKind:
    """OMOP for a folder with OMOP's two tables of persons, plain tables for all else."""
    path = Path(site)
    names = {file.stem.lower() for file in path.iterdir()} if path.is_dir() else set()
    return "omop" if {"person", "observation_period"} <= names else "tables"
