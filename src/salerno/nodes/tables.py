"""Tables of every capability; a node has them all, whatever its role, so that a role can be added later."""

from __future__ import annotations

from sqlalchemy import MetaData

from salerno.adapters import jobs
from salerno.analysis import store as analysis_store
from salerno.audit import store as audit_store
from salerno.catalogue import store as catalogue_store
from salerno.holdings import store as holdings_store
from salerno.identity import store as identity_store
from salerno.permits import store as permits_store

METADATA: tuple[MetaData, ...] = (
    jobs.metadata,
    audit_store.metadata,
    identity_store.metadata,
    catalogue_store.metadata,
    permits_store.metadata,
    holdings_store.metadata,
    analysis_store.metadata,
)
"""What a new migration is made from, and held against in a test."""
