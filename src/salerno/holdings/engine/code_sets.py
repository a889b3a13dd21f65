"""The concepts that a Circe definition's sets name, worked out at the node from few rows of the vocabulary.

Circe's query reads the vocabulary anew for each set: some dozen times over tables of many million rows, and
no engine knows how little is left of them. So the engine gives, once, the rows that the sets can meet.
"""

from __future__ import annotations

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa

from salerno.holdings.engine.events import Tables
from salerno.holdings.engine.source import Source
from salerno.standards.circe import PREFIX, CirceScript

COLUMNS = {"codeset_id": "int64", "concept_id": "int64"}


def code_sets(source: Source, tables: Tables, script: CirceScript) -> ir.Table:
    """Sets and their concepts, one row each, as a table that any engine can keep.

    Args:
        source: Where the vocabulary lies.
        tables: Gives its tables, with the columns of the standard.
        script: The definition.
    """
    with duckdb.connect(":memory:", config={"enable_external_access": "false"}) as node:
        for name, rows in _vocabulary(tables, script).items():
            node.register(PREFIX + name, source.fetch(rows))
        found = source.compute(lambda: node.execute(script.code_sets).to_arrow_table())
    typed = pa.schema([(name, pa.int64()) for name in COLUMNS])
    return ibis.memtable(found.select(list(COLUMNS)).cast(typed), schema=COLUMNS)


def _vocabulary(tables: Tables, script: CirceScript) -> dict[str, ir.Table]:
    """What the sets can meet: the concepts that they name, those below, and what is mapped to either."""

    def read(name: str) -> ir.Table:
        return tables(name).select(*sorted(script.columns[name]))

    named = [ibis.literal(concept, "int64") for concept in sorted(script.concepts)]
    found: dict[str, ir.Table] = {}

    def met(concept: ir.Value) -> ir.BooleanValue:
        known = concept.isin(named) if named else ibis.literal(False)
        below = found.get("concept_ancestor")
        return known if below is None else known | concept.isin(below.descendant_concept_id)

    if "concept_ancestor" in script.columns:
        ancestors = read("concept_ancestor")
        found["concept_ancestor"] = ancestors.filter(ancestors.ancestor_concept_id.isin(named))
    if "concept" in script.columns:
        concepts = read("concept")
        found["concept"] = concepts.filter(met(concepts.concept_id))
    if "concept_relationship" in script.columns:
        links = read("concept_relationship")
        found["concept_relationship"] = links.filter(
            (links.relationship_id == "Maps to") & met(links.concept_id_2)
        )
    return found
