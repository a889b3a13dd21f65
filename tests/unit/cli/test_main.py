from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from salerno.cli import output
from salerno.cli.app import COMMANDS, app
from salerno.kernel.errors import Conflict, Invalid, NotFound, Refused, SalernoError, Unavailable
from tests.unit.cli.conftest import Salerno


def _tree(command: typer.core.TyperGroup, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, inner in getattr(command, "commands", {}).items():
        found += _tree(inner, (*path, name))
    return found


PATHS = _tree(typer.main.get_command(app))  # type: ignore[arg-type]


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage:" in result.output


@pytest.mark.parametrize("path", [p for p in PATHS if p and p[-1] in ("list", "show")], ids=" ".join)
def test_every_list_and_show_speaks_json(path: tuple[str, ...]) -> None:
    assert "--json" in CliRunner().invoke(app, [*path, "--help"]).output


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    root = typer.main.get_command(app)
    for name, (_, about) in COMMANDS.items():
        assert root.commands[name].get_short_help_str(200) == about, name  # type: ignore[attr-defined]


def test_the_commands_that_are_promised() -> None:
    wanted = """
        demo; try; methods; doctor; log-in; log-out;
        node init; node serve; node admit; node show; account add;
        holding connect; holding list; holding describe;
        catalogue search; catalogue show; catalogue harvest;
        apply file; apply list; apply show; apply template; apply withdraw;
        case list; case show; case take-up; case ask-back; case complete;
        case assign; case conflict; case extend; case propose; case send-back; case confirm; case lapse;
        case appeal; case history; apply appeal; apply change; apply history;
        apply form; apply answer; apply gaps; apply export;
        permit list; permit show; permit revoke;
        study open; study list; study ask; study answer;
        audit verify; audit show; audit receipt; audit check-receipt;
        optout set; optout clear; optout show;
        inbox list; inbox read; inbox contact; fee show; fee estimate
    """
    assert {tuple(words.split()) for words in wanted.split(";")} <= set(PATHS)


def test_version(salerno: Salerno) -> None:
    run = salerno("--version")
    assert (run.code, run.out) == (0, "salerno 0.1.0\n")


def test_a_misspelt_command_is_a_usage_error(salerno: Salerno) -> None:
    run = salerno("catalog", "search")
    assert run.code == 2
    assert "catalog" in run.err


@pytest.mark.parametrize(
    ("kind", "code"),
    [(SalernoError, 1), (Invalid, 2), (Refused, 3), (NotFound, 4), (Conflict, 5), (Unavailable, 6)],
)
def test_each_kind_of_error_has_its_exit_code(
    kind: type[SalernoError], code: int, salerno: Salerno, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise kind("some-code", "Something was wrong", rule="EHDS Art. 68", remedy="Do this.")

    monkeypatch.setattr("salerno.cli.studies._method_docs", fail)
    run = salerno("methods")
    assert run.code == code
    assert run.out == ""
    assert run.err == "some-code: Something was wrong (EHDS Art. 68). Do this.\n"
    as_json = salerno("methods", "--json")
    assert json.loads(as_json.err)["title"] == "some-code"
    assert as_json.out == ""


def test_methods_are_listed_and_told_in_full(salerno: Salerno) -> None:
    listed = salerno("methods")
    assert "kmeans" in listed.out
    assert all(len(line.split("  ", 1)) == 2 for line in listed.out.strip().splitlines())
    one = salerno("methods", "boosting")
    assert one.out.startswith("Gradient-boosted trees")
    assert "Question: " in one.out
    wrong = salerno("methods", "bosting")
    assert wrong.code == 2
    assert "boosting" in wrong.err


def test_what_nobody_foresaw_is_told_without_its_text(
    salerno: Salerno, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("person 17 has a secret")

    monkeypatch.setattr("salerno.cli.studies._method_docs", fail)
    run = salerno("methods")
    assert run.code == 1
    assert "RuntimeError" in run.err
    assert "secret" not in run.err
    assert "Traceback" not in run.err
    monkeypatch.setenv("SALERNO_DEBUG", "1")
    with pytest.raises(RuntimeError, match="secret"):
        salerno("methods")


def test_help_without_words(salerno: Salerno) -> None:
    run = salerno()
    assert "Commands:" in run.out + run.err


def test_cells() -> None:
    assert output.cell(None) == "–"
    assert output.cell(True) == "yes"
    assert output.cell(12345) == "12,345"
    assert output.cell(0.123456789) == "0.123457"
    assert output.cell({"FR": "granted", "DE": "refused"}) == "FR: granted, DE: refused"
    assert output.cell(["a", "b"]) == "a, b"
