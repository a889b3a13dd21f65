"""``salerno app``: a Flower app, from its folder to a question, and what a steward lets run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from salerno.cli import output
from salerno.cli.options import Json, NodeFolder, commands

app = commands("Bundle and try a Flower app; let it run on a holding.")

BundleFile = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle of an app.")]
HoldingId = Annotated[str, typer.Argument(metavar="ID", help="Short name of the holding.")]
Python = Annotated[
    str, typer.Option(help="Interpreter with Flower and what the app imports; by default this one.")
]


@app.command()
def bundle(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with the app's pyproject.toml.")],
    initial: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Arrays to begin with, .npz; FOLDER/initial.npz by default."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The bundle; NAME-VERSION.zip by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a bundle of a Flower app, and a question to begin with."""
    from salerno.holdings.rules import pack_folder, read_bundle

    data = pack_folder(folder, _read(initial or folder / "initial.npz"))
    about = read_bundle(data)
    place = out or Path(f"{about.name}-{about.version or '0'}.zip")
    place.write_bytes(data)
    question = {
        "method": "federated_learning",
        "app": about.digest,
        "variables": [],
        "arrays": [
            {"name": name, "shape": list(array.shape), "dtype": str(array.dtype)}
            for name, array in about.initial.items()
        ],
        "rounds": 10,
    }
    if as_json:
        output.print_json({"bundle": str(place), "digest": about.digest, "question": question})
        return
    output.note(f"{about.name} {about.version} is in {place}; a question to begin with:")
    output.print_json(question)


@app.command()
def check(
    bundle: BundleFile,
    rows: Annotated[Path, typer.Argument(metavar="ROWS", help="Rows to train on, CSV or Parquet.")],
    python: Python = "",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of training.")] = 2,
    loss: Annotated[str, typer.Option(help="Metric that is the loss.")] = "loss",
    as_json: Json = False,
) -> None:
    """Run an app in the holders' sandbox on rows of one's own, where its words and errors can be seen."""
    import pandas as pd

    from salerno.nodes.apps import check_app

    frame = pd.read_csv(rows) if rows.suffix == ".csv" else pd.read_parquet(rows)
    told = check_app(_read(bundle), frame.dropna(), python=python, rounds=rounds, loss=loss)
    if as_json:
        output.print_json(told)
    else:
        output.print_table(tuple(told[0]), [tuple(line.values()) for line in told], title="Rounds")


@app.command()
def allow(
    folder: NodeFolder, id: HoldingId, bundle: BundleFile, python: Python = "", as_json: Json = False
) -> None:
    """Let an app run on a holding, for questions that name its digest. Read its code before."""
    from salerno.nodes.assemble import open_node

    with open_node(folder) as node, node.holdings() as holdings:
        allowed = holdings.allow_app(id, _read(bundle), node.operator, python=python)
    if as_json:
        output.print_json(_facts(allowed))
    else:
        print(f"{allowed.name} {allowed.version} may run on {id}: {allowed.digest}")


@app.command()
def forbid(
    folder: NodeFolder,
    id: HoldingId,
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="The app's, or its first letters.")],
    as_json: Json = False,
) -> None:
    """Let an app run no longer on a holding, from its next round on."""
    from salerno.nodes.assemble import open_node

    with open_node(folder) as node, node.holdings() as holdings:
        forbidden = holdings.forbid_app(id, digest, node.operator)
    if as_json:
        output.print_json(_facts(forbidden))
    else:
        print(f"{forbidden.name} {forbidden.version} may run no longer on {id}")


@app.command("list")
def list_(folder: NodeFolder, id: HoldingId, as_json: Json = False) -> None:
    """List the apps that may run on a holding."""
    from salerno.nodes.assemble import open_node

    with open_node(folder) as node, node.holdings() as holdings:
        found = [_facts(each) for each in holdings.apps(id)]
    if as_json:
        output.print_json(found)
    else:
        output.print_table(tuple(found[0]) if found else (), [tuple(each.values()) for each in found])


def _facts(allowed: Any) -> dict[str, str]:
    at = allowed.allowed_at.isoformat(timespec="minutes")
    names = ("name", "version", "digest", "python")
    return {**{name: getattr(allowed, name) for name in names}, "allowed": at}


def _read(path: Path) -> bytes:
    from salerno.kernel.errors import NotFound

    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFound("no-such-file", f"There is no file {path} that can be read") from error
