"""``salerno catalogue``: find data sets and see what they hold."""

from __future__ import annotations

from typing import Annotated

import typer

from salerno.cli import output
from salerno.cli.options import At, Json, commands, session_at

app = commands("Find data sets and see what they hold.")


@app.command()
def search(
    text: Annotated[str, typer.Argument(help="Words to look for; all data sets without any.")] = "",
    category: Annotated[str, typer.Option(help="Code of an Art. 51 category, e.g. EHRS.")] = "",
    country: Annotated[str, typer.Option(help="Country code, e.g. FR.")] = "",
    variable: Annotated[str, typer.Option(help="A column that the data set must have.")] = "",
    at: At = "",
    as_json: Json = False,
) -> None:
    """Search the catalogue of all countries."""
    found = session_at(at).search(text, category=category, country=country, variable=variable)
    if as_json:
        output.print_json([d.description for d in found])
        return
    rows = [(d.title, d.holder, d.country, d.n_persons, ", ".join(d.matches), d.iri) for d in found]
    output.print_table(("data set", "holder", "country", "persons", "found in", "IRI"), rows)


@app.command()
def show(
    iri: Annotated[str, typer.Argument(metavar="IRI", help="Identifier of the data set.")],
    at: At = "",
    as_json: Json = False,
) -> None:
    """Show one description with its variable dictionary."""
    dataset = session_at(at).dataset(iri)
    if as_json:
        output.print_json(dataset.description)
        return
    known = dataset.description
    output.print_facts(
        (
            ("title", dataset.title),
            ("about", known.get("description")),
            ("holder", dataset.holder),
            ("apply to", known["access_body"]["name"]),
            ("country", dataset.country),
            ("persons", dataset.n_persons),
            ("categories", known.get("categories")),
            ("from", known.get("covers_from")),
            ("to", known.get("covers_to")),
            ("IRI", dataset.iri),
        )
    )
    for table in known.get("tables", ()):
        rows = [
            (v["name"], v["datatype"], v.get("n"), ", ".join(v.get("levels", ())), v.get("description", ""))
            for v in table["variables"]
        ]
        output.print_table(("variable", "type", "rows", "levels", "meaning"), rows, title=table["name"])


@app.command()
def harvest(at: At = "", as_json: Json = False) -> None:
    """Have the hub fetch all participants' catalogues now (operators)."""
    with output.progress(as_json)("Fetching catalogues"):
        report = session_at(at).harvest()
    if as_json:
        output.print_json(report)
        return
    for entry in report if isinstance(report, list) else [report]:
        output.print_facts(entry.items() if isinstance(entry, dict) else (("harvest", entry),))
