"""``salerno holding``: connect a holder's data and describe them."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from salerno.cli import output
from salerno.cli.options import Json, NodeFolder, commands, read_text

app = commands("Connect data of a holder, and describe them.")


@app.command()
def connect(
    folder: NodeFolder,
    id: Annotated[str, typer.Option(help="Short name, the last part of the data set's IRI.")],
    title: Annotated[str, typer.Option(help="Title for people.")],
    source: Annotated[str, typer.Option(help="Folder or file (Parquet, CSV, DuckDB), or a PostgreSQL URL.")],
    kind: Annotated[str, typer.Option(help="omop for an OMOP CDM, tables for any other tables.")] = "omop",
    person_column: Annotated[
        str, typer.Option(help="For plain tables: the column that names the person.")
    ] = "",
    date_column: Annotated[
        str, typer.Option(help="For plain tables: the column that dates the records.")
    ] = "",
    description: Annotated[str, typer.Option(help="What the data are.")] = "",
    as_json: Json = False,
) -> None:
    """Connect data; they are checked and stay where they are."""
    from salerno.kernel.errors import Invalid, near
    from salerno.nodes.assemble import open_node

    if kind not in ("omop", "tables"):
        raise Invalid("unknown-kind", f"There is no kind {kind!r}", remedy=near(kind, ("omop", "tables")))
    with output.progress(as_json)("Reading the data"), open_node(folder) as node:
        holding = node.holding_desk.connect(
            id,
            source,
            node.operator,
            kind=kind,
            title=title,
            person_column=person_column,
            date_column=date_column,
            description=description,
        )
    if as_json:
        output.print_json(holding)
    else:
        print(f"{holding.title} is connected as {holding.dataset}")


@app.command("list")
def list_(folder: NodeFolder, as_json: Json = False) -> None:
    """List what is connected."""
    from salerno.nodes.assemble import open_node

    with open_node(folder) as node, node.holdings() as holdings:
        found = holdings.holdings()
    if as_json:
        output.print_json(found)
        return
    rows = [(h.id, h.title, h.kind, h.dataset, h.connected_at.isoformat(timespec="minutes")) for h in found]
    output.print_table(("id", "title", "kind", "data set", "connected"), rows)


@app.command()
def policy(
    folder: NodeFolder,
    id: Annotated[str, typer.Argument(metavar="ID", help="Short name of the holding.")],
    file: Annotated[str, typer.Argument(metavar="[FILE]", help="TOML file, - for standard input.")] = "",
    preset: Annotated[
        str, typer.Option(help="Instead of a file: acro, datashield, darwin, ehrql, salerno or strict.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show a holding's disclosure policy, or set it from a TOML file or a preset."""
    from salerno.kernel.errors import Invalid
    from salerno.nodes.assemble import open_node
    from salerno.permits.rules import MEANINGS, SOURCES, parse_policy, preset_of
    from salerno.permits.rules import preset as named

    if file and preset:
        raise Invalid("policy-twice", "A file and a preset were given", remedy="A file can name its preset.")
    wanted = parse_policy(read_text(file)) if file else named(preset) if preset else None
    with open_node(folder) as node, node.holdings() as holdings:
        if wanted is not None:
            holdings.set_policy(id, wanted, node.operator)
        holding = holdings.holding(id)
    if as_json:
        output.print_json(holding.policy)
        return
    name = preset_of(holding.policy)
    output.print_facts(
        (("policy", name or "none of those that have a name"), ("source", SOURCES.get(name, "")))
    )
    members = [(member, getattr(holding.policy, member), meaning) for member, meaning in MEANINGS.items()]
    output.print_table(("rule", "value", "what it means"), members)


@app.command()
def describe(
    folder: NodeFolder,
    id: Annotated[str, typer.Argument(metavar="ID", help="Short name of the holding.")],
    category: Annotated[
        list[str] | None, typer.Option(help="Code of an Art. 51 category; EHRS by default. Repeat.")
    ] = None,
    keyword: Annotated[list[str] | None, typer.Option(help="A word to find it by. Repeat.")] = None,
    provenance: Annotated[str, typer.Option(help="Where the data come from.")] = "",
    publish: Annotated[
        bool, typer.Option("--publish/--no-publish", help="Put the description into the catalogue.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Compute the description from the data: variables, counts, dates; then publish it."""
    from salerno.kernel.codes import DataCategory
    from salerno.kernel.errors import Invalid, near
    from salerno.nodes.assemble import open_node

    known = {each.value: each for each in DataCategory}
    for code in category or ():
        if code not in known:
            raise Invalid("unknown-category", f"There is no category {code!r}", remedy=near(code, known))
    options: dict[str, Any] = {"keywords": tuple(keyword or ()), "provenance": provenance}
    if category:
        options["categories"] = tuple(known[code] for code in category)
    with output.progress(as_json)("Describing the data"), open_node(folder) as node:
        if publish:
            description = node.publish(id, node.operator, **options)
        else:
            description = node.holding_desk.describe(id, node.operator, **options)
    if as_json:
        output.print_json(description)
        return
    n_variables = sum(len(table.variables) for table in description.tables)
    output.print_facts(
        (
            ("title", description.title),
            ("persons", description.n_persons),
            ("tables", len(description.tables)),
            ("variables", n_variables),
            ("from", description.covers_from),
            ("to", description.covers_to),
            ("IRI", description.iri),
            ("published", publish),
        )
    )


@app.command()
def deletions(folder: NodeFolder, as_json: Json = False) -> None:
    """Show what was deleted at the end of permits, and since when the access body has the proof."""
    from salerno.nodes.assemble import open_node

    with open_node(folder) as node, node.holdings() as holdings:
        found = holdings.deletions()
    if as_json:
        output.print_json(found)
        return
    rows = [(d.permit, d.deleted_at, d.files, d.size_bytes, d.entry, d.sent_at or "not yet") for d in found]
    output.print_table(("permit", "deleted", "files", "bytes", "log entry", "proved"), rows)


@app.command()
def pseudonymise(
    folder: NodeFolder,
    permit: Annotated[str, typer.Argument(metavar="PERMIT", help="The permit that the data are for.")],
    column: Annotated[str, typer.Option(help="Column with the person's identifier.")],
) -> None:
    """Copy CSV from standard input to standard output, with the permit's pseudonyms for identifiers."""
    import csv

    from salerno.kernel.errors import Invalid, near
    from salerno.nodes.assemble import open_node

    rows = csv.DictReader(sys.stdin)
    names = list(rows.fieldnames or ())
    if column not in names:
        raise Invalid("unknown-column", f"The file has no column {column!r}", remedy=near(column, names))
    with open_node(folder) as node:
        pseudonyms = node.pseudonyms.of(permit)
    writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        named = row[column].strip()
        writer.writerow({**row, column: pseudonyms.of(named) if named else ""})
