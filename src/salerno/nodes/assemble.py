"""A node as a value: settings, keys and database in, services that open transactions out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from sqlalchemy import Connection

import salerno
from salerno.adapters.clock import SystemClock
from salerno.adapters.database import Database, Opens
from salerno.adapters.http import HttpClient
from salerno.adapters.keys import KeyRing
from salerno.adapters.mail import SmtpMailer, parse_smtp_url
from salerno.adapters.vault import Vault
from salerno.audit.service import AuditLog
from salerno.audit.store import SqlAuditStore
from salerno.catalogue.model import Agent, ContactPoint, DatasetDescription
from salerno.catalogue.service import Catalogue, CatalogueCache
from salerno.catalogue.store import SqlCatalogueStore
from salerno.identity.model import Credential, Participant, ParticipantRole, PersonRole
from salerno.identity.remote import HttpKeyResolver, PeerClient
from salerno.identity.rules import key_id, make_document
from salerno.identity.service import Accounts, KeyResolver, Notices, Trust
from salerno.identity.store import SqlAccountStore, SqlNoticeStore, SqlTrustStore
from salerno.kernel.errors import Refused
from salerno.kernel.time import Clock
from salerno.nodes.migrate import migrate
from salerno.nodes.settings import OPT_OUT_LEVELS_FILE, NodeSettings, load_settings
from salerno.permits.model import DataPermit, OptOutLevel, Procedure
from salerno.permits.remote import (
    HttpDeletions,
    HttpOptOuts,
    HttpPermitStatus,
    HttpPseudonyms,
    HttpStatusLists,
)
from salerno.permits.rules import parse_levels
from salerno.permits.rules.notices import NOTICES
from salerno.permits.service import Objections, PermitDesk
from salerno.permits.service.cases import STATUS_LIST_PATH
from salerno.permits.store import SqlPermitStore, TransactionJobs
from salerno.permits.wire import CREDENTIAL_TYPE, DeskSigner, parse_permit, render_status_list
from salerno.standards.status_list import LIST_CREDENTIAL
from salerno.standards.vc import issuer_of

if TYPE_CHECKING:
    # The analysis engine takes longer to import than all else together, and few roles need it.
    from salerno.analysis.service.coordinator import Coordinator
    from salerno.analysis.service.ports import AgentParts, HolderDesk, HubDesk
    from salerno.holdings.engine.keeping import KeepingEngine
    from salerno.holdings.service import HoldingDesk, Holdings, OptOutRegister, PermitStatus, ViewDoor
    from salerno.holdings.service.ending import Endings

T = TypeVar("T")


class Node:
    """One node's services; each of `trust`, `accounts`, … opens a transaction and yields the service.

    Args:
        settings: What the operator decided.
        keys: Private keys; read from the folder when not given.
        clock: The time.
        resolver: Where other nodes' public keys come from; over HTTP when not given.
        status, opt_outs: What a holder asks its access body; over HTTP when not given.
    """

    def __init__(
        self,
        settings: NodeSettings,
        *,
        keys: KeyRing | None = None,
        clock: Clock | None = None,
        resolver: KeyResolver | None = None,
        status: PermitStatus | None = None,
        opt_outs: OptOutRegister | None = None,
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.keys = keys or KeyRing.load(settings.keys_folder)
        self.document = make_document(settings.did, self.keys)
        self.own = Participant(
            did=settings.did,
            role=settings.role,
            name=settings.name,
            country=settings.country,
            url=settings.url,
            access_body=settings.access_body,
        )
        self.operator = f"{settings.did}#operator"
        self.http = HttpClient()
        self.peer = PeerClient(self.http, self.keys, settings.did, self.clock)
        self.resolver: KeyResolver = resolver or HttpKeyResolver(self.http, own=self.document)
        self.database = Database(settings.database_url)
        migrate(self.database)
        self._status = status
        self._opt_outs = opt_outs
        self._catalogue_cache = CatalogueCache()

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of data, database and connections."""
        if "engine" in self.__dict__:
            self.engine.close()
        self.http.close()
        self.database.close()

    # services, each in a transaction of its own

    @cached_property
    def audit(self) -> Opens[AuditLog]:
        """The log."""
        return self._opens(self._audit)

    @cached_property
    def reading_audit(self) -> Opens[AuditLog]:
        """The log, to read only: recomputing all of it keeps no writer waiting."""
        return self._opens(self._audit, reading=True)

    @cached_property
    def trust(self) -> Opens[Trust]:
        """Admitted participants."""
        return self._opens(self._trust)

    @cached_property
    def reading_trust(self) -> Opens[Trust]:
        """Admitted participants, to read only."""
        return self._opens(self._trust, reading=True)

    @cached_property
    def accounts(self) -> Opens[Accounts]:
        """Persons' log-ins."""
        return self._opens(self._accounts)

    @cached_property
    def reading_accounts(self) -> Opens[Accounts]:
        """Persons' log-ins, to read only: finding a caller must not wait for a writer."""
        return self._opens(self._accounts, reading=True)

    @cached_property
    def notices(self) -> Opens[Notices]:
        """What persons are told."""
        return self._opens(self._notices)

    @cached_property
    def reading_notices(self) -> Opens[Notices]:
        """What persons were told, to read only: each page says how much of it is new."""
        return self._opens(self._notices, reading=True)

    @cached_property
    def catalogue(self) -> Opens[Catalogue]:
        """Data set descriptions."""
        return self._opens(self._catalogue)

    @cached_property
    def reading_catalogue(self) -> Opens[Catalogue]:
        """Data set descriptions, to read only: keeps no writer waiting."""
        return self._opens(self._catalogue, reading=True)

    @cached_property
    def permits(self) -> Opens[PermitDesk]:
        """Applications, permits, opt-outs."""
        return self._opens(self._permits)

    @cached_property
    def reading_permits(self) -> Opens[PermitDesk]:
        """Applications, permits, opt-outs, to read only: keeps no writer waiting."""
        return self._opens(self._permits, reading=True)

    @cached_property
    def _opt_out_levels(self) -> tuple[OptOutLevel, ...]:
        path = self.settings.folder / OPT_OUT_LEVELS_FILE
        return parse_levels(path.read_text(encoding="utf-8") if path.exists() else "")

    @cached_property
    def holdings(self) -> Opens[Holdings]:
        """Connected data."""
        from salerno.holdings.service import Holdings
        from salerno.holdings.store import SqlHoldingStore

        return self._opens(
            lambda c: Holdings(
                SqlHoldingStore(c), self._audit(c), self.clock, self.own, self.engine, self._access_body(c)
            )
        )

    @cached_property
    def holder_desk(self) -> Opens[HolderDesk]:
        """What a holder keeps of its runs: rounds and the ledger."""
        return self._opens(self._holder_desk)

    @cached_property
    def reading_holder_desk(self) -> Opens[HolderDesk]:
        """What a holder keeps of its runs, to read only."""
        return self._opens(self._holder_desk, reading=True)

    # what lives as long as the node

    @property
    def agent(self) -> Agent:
        """The organisation behind the node, as descriptions name it."""
        return Agent(
            iri=self.settings.did,
            name=self.settings.name,
            country=self.settings.country,
            contact=ContactPoint(
                name=self.settings.name, email=self.settings.contact_email, page=self.settings.url
            ),
        )

    @cached_property
    def mailer(self) -> SmtpMailer | None:
        """What sends e-mails; None where no mail server is set."""
        if not self.settings.smtp_url:
            return None
        return SmtpMailer(parse_smtp_url(self.settings.smtp_url), self.settings.mail_sender, self.clock)

    @cached_property
    def engine(self) -> KeepingEngine:
        """What computes on the holdings."""
        from salerno.holdings.engine.keeping import KeepingEngine
        from salerno.holdings.engine.source import EngineLimits

        return KeepingEngine(
            EngineLimits(
                memory_mb=self.settings.memory_mb,
                threads=self.settings.engine_threads,
                cache_folder=self.settings.cache_folder,
            ),
            self.vault,
        )

    @cached_property
    def permit_status(self) -> HttpPermitStatus:
        """What a holder asks about permits."""
        lists = HttpStatusLists(
            lambda body, path: self.peer.send(body, "GET", path, timeout_seconds=5).content.decode(),
            self.participant,
            lambda token: self.verify(token, type=LIST_CREDENTIAL),
            self.clock,
        )
        return HttpPermitStatus(self.peer, self.participant, lists)

    @cached_property
    def endings(self) -> Endings:
        """What a holder does at the end of permits."""
        from salerno.holdings.service.ending import Endings

        body = self.settings.access_body
        return Endings(
            self.vault,
            self.holdings,
            lambda permit: self.permit_status.state_of(permit, body),
            HttpDeletions(self.peer, self.participant, body).prove,
            self.clock,
        )

    @cached_property
    def pseudonyms(self) -> HttpPseudonyms:
        """A holder's pseudonyms under each permit."""
        return HttpPseudonyms(self.peer, self.participant, self.settings.access_body, self.vault)

    def render_status_list(self, revoked: Sequence[int]) -> str:
        """An access body's status list of permits, signed."""
        return render_status_list(
            f"{self.settings.url}{STATUS_LIST_PATH}",
            revoked,
            issuer=self.settings.did,
            now=self.clock.now(),
            key=self.keys.private_jwk(),
            kid=key_id(self.settings.did, self.keys.signing_jwk()),
        )

    @cached_property
    def vault(self) -> Vault:
        """What a holder keeps under each permit, sealed."""
        return Vault(self.settings.vault_folder, self.settings.permit_keys_folder)

    @cached_property
    def holding_desk(self) -> HoldingDesk:
        """Connects and describes holdings without holding a transaction."""
        from salerno.holdings.service import HoldingDesk

        return HoldingDesk(self.holdings, self.engine)

    @cached_property
    def door(self) -> ViewDoor:
        """The one door to the rows."""
        from salerno.holdings.engine.apps.host import SandboxedApps
        from salerno.holdings.service import ViewDoor

        return ViewDoor(
            holdings=self.holdings,
            trace=self.audit,
            engine=self.engine,
            verifier=_Verifier(self),
            status=self._status or self.permit_status,
            opt_outs=self._opt_outs
            or HttpOptOuts(
                self.peer,
                self.participant,
                self.settings.access_body,
                self.vault,
            ),
            clock=self.clock,
            own=self.own,
            apps=SandboxedApps(),
        )

    @cached_property
    def coordinator(self) -> Coordinator:
        """The hub's side of studies."""
        from salerno.analysis.service.coordinator import Coordinator
        from salerno.analysis.service.ports import Deadlines, HubParts

        return Coordinator(
            HubParts(
                opens=self._opens(self._hub_desk),
                reads=self._opens(self._hub_desk, reading=True),
                keys=self.keys,
                resolver=self.resolver,
                own=self.own,
                now=self.clock.now,
                deadlines=Deadlines(silence_seconds=self.settings.round_seconds),
                version=salerno.__version__,
            )
        )

    def agent_parts(self, hub: str) -> AgentParts:
        """What a holder's agent for one hub is made of."""
        from salerno.analysis.service.ports import AgentParts

        return AgentParts(
            door=self.door,
            opens=self.holder_desk,
            reads=self.reading_holder_desk,
            keys=self.keys,
            resolver=self.resolver,
            own=self.own,
            hub=hub,
            read_permit=self.read_permit,
            now=self.clock.now,
        )

    def participant(self, did: str) -> Participant:
        """An admitted participant."""
        with self.reading_trust() as trust:
            return trust.participant(did)

    def participants(self, role: ParticipantRole | None = None) -> list[Participant]:
        """Admitted participants."""
        with self.reading_trust() as trust:
            return trust.participants(role)

    def verify(self, token: str, *, type: str = CREDENTIAL_TYPE) -> Credential:
        """A verified credential, of a data permit where nothing else is said.

        Raises:
            Refused: It is not from an admitted issuer, altered, or not valid now.
            Unavailable: The issuer's keys cannot be had.
        """
        # A key document may have to be fetched: that must not happen while the database is held.
        issuer = issuer_of(token)
        with self.reading_trust() as trust:
            known = any(p.did == issuer for p in trust.participants())
        if known:
            self.resolver.resolve(issuer)
        try:
            with self.reading_trust() as trust:
                return trust.verify_credential(token, type=type)
        except Refused as refusal:
            if refusal.code != "credential-expired" or type != CREDENTIAL_TYPE:
                raise
            raise Refused(
                "permit-expired",
                "The data permit has ended, so nothing can be computed under it",
                rule="EHDS Art. 68(12)",
                remedy="Ask for an extension before a permit ends, or apply again.",
            ) from refusal

    def read_permit(self, token: str) -> DataPermit:
        """The permit in a credential, verified."""
        return parse_permit(self.verify(token))

    def publish(self, holding_id: str, by: str, **options: Any) -> DatasetDescription:
        """Describe a holding by its data and publish the description."""
        description = self.holding_desk.describe(holding_id, by, **options)
        with self.catalogue() as catalogue:
            catalogue.publish(description, by)
        return description

    # parts of a transaction

    def _opens(self, build: Callable[[Connection], T], *, reading: bool = False) -> Opens[T]:
        return self.database.opens(build, reading=reading)

    def _audit(self, connection: Connection) -> AuditLog:
        origin = f"{urlsplit(self.settings.url).netloc}/audit"
        return AuditLog(SqlAuditStore(connection), self.clock, self.keys, origin)

    def _trust(self, connection: Connection) -> Trust:
        return Trust(
            SqlTrustStore(connection), self._audit(connection), self.clock, self.resolver, self.settings.did
        )

    def _accounts(self, connection: Connection) -> Accounts:
        return Accounts(SqlAccountStore(connection), self._audit(connection), self.clock, self.settings.did)

    def _notices(self, connection: Connection) -> Notices:
        return Notices(
            SqlNoticeStore(connection),
            TransactionJobs(connection, self.clock) if self.settings.smtp_url else None,
            self.clock,
            NOTICES,
            url=self.settings.url,
            node=self.settings.name,
        )

    def _catalogue(self, connection: Connection) -> Catalogue:
        return Catalogue(
            SqlCatalogueStore(connection),
            self._audit(connection),
            self.clock,
            self.settings.did,
            publisher=self.agent,
            url=self.settings.url,
            cache=self._catalogue_cache,
            participants=self._trust(connection).participants,
        )

    def _permits(self, connection: Connection) -> PermitDesk:
        return PermitDesk(
            SqlPermitStore(connection),
            self._audit(connection),
            self.clock,
            self._desk_signer,
            self.own,
            TransactionJobs(connection, self.clock),
            self._trust(connection),
            objections=Objections(
                levels=self._opt_out_levels,
                categories_of=lambda iri: self._catalogue(connection).categories(iri),
            ),
            procedure=self._procedure,
            officers=lambda: self._officers(connection),
            notices=self._notices(connection),
        )

    def _access_body(self, connection: Connection) -> Participant | None:
        found = SqlTrustStore(connection).participant(self.settings.access_body)
        return found if found and found.role is ParticipantRole.ACCESS_BODY else None

    def _hub_desk(self, connection: Connection) -> HubDesk:
        from salerno.analysis.service.ports import HubDesk
        from salerno.analysis.store import SqlHubStore

        return HubDesk(
            store=SqlHubStore(connection),
            audit=self._audit(connection),
            jobs=TransactionJobs(connection, self.clock),
            trust=self._trust(connection),
        )

    def _holder_desk(self, connection: Connection) -> HolderDesk:
        from salerno.analysis.service.ports import HolderDesk
        from salerno.analysis.store import SqlAgentStore, SqlLedgerStore

        return HolderDesk(
            store=SqlAgentStore(connection),
            ledger=SqlLedgerStore(connection),
            audit=self._audit(connection),
            trust=self._trust(connection),
        )

    @cached_property
    def _desk_signer(self) -> DeskSigner:
        kid = key_id(self.settings.did, self.keys.signing_jwk())
        return DeskSigner(issuer=self.settings.did, key=self.keys.private_jwk(), kid=kid)

    @cached_property
    def _procedure(self) -> Procedure:
        return Procedure(
            persons_per_decision=self.settings.persons_per_decision, appeal_days=self.settings.appeal_days
        )

    def _officers(self, connection: Connection) -> dict[str, str]:
        accounts = self._accounts(connection).accounts()
        return {account.id: account.name for account in accounts if PersonRole.OFFICER in account.roles}


class _Verifier:
    """The door's `CredentialVerifier`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def verify(self, token: str) -> Credential:
        return self._node.verify(token)


def open_node(folder: Path | str) -> Node:
    """Open the node in a folder; its database is brought up to date.

    Raises:
        NotFound: The folder holds no node.
        Unavailable: The database cannot be reached.
    """
    return Node(load_settings(folder))
