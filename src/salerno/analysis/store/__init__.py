"""Studies, questions, runs and rounds in the node's database."""

from salerno.analysis.store.holder import SqlAgentStore
from salerno.analysis.store.hub import SqlHubStore
from salerno.analysis.store.ledger import SqlLedgerStore
from salerno.analysis.store.tables import metadata

__all__ = ["SqlAgentStore", "SqlHubStore", "SqlLedgerStore", "metadata"]
