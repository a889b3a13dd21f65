"""The tree of commands. A group's module is loaded when one of its commands runs, so that help is quick."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
import typer.core
import typer.main

from salerno.cli.options import commands

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo:demo", "Run a data space here, ask three countries."),
    "try": ("demo:try_", "Ask a question of your own files."),
    "methods": (
        "studies:methods",
        "List the analysis methods, or say how one is asked and what it answers.",
    ),
    "doctor": ("doctor:doctor", "Check versions, disk, port, clock and optional programs."),
    "log-in": ("accounts:log_in", "Log in at a node, and stay logged in."),
    "log-out": ("accounts:log_out", "End the session at a node and forget it."),
    "me": ("accounts:me", "Show who you are at a node."),
    "inbox": ("inbox:app", "Read what a node has to tell you, and say how it reaches you."),
    "catalogue": ("catalogue:app", "Find data sets and see what they hold."),
    "apply": ("applying:app", "File and follow applications for data."),
    "case": ("deciding:cases", "Decide applications, as an access body's officer."),
    "fee": ("fees:app", "Check a tariff, and estimate what an application costs."),
    "permit": ("deciding:permits", "List data permits; revoke one, as an officer."),
    "study": ("studies:app", "Open studies, ask questions, read answers."),
    "optout": ("accounts:optout", "Opt out of secondary use, or reverse it."),
    "node": ("nodes:app", "Make and run a hub, access body or holder."),
    "account": ("accounts:app", "Accounts of people at a node that you run."),
    "holding": ("holdings:app", "Connect data of a holder, and describe them."),
    "app": ("apps:app", "Bundle and try a Flower app; let it run on a holding."),
    "ledger": (
        "ledger:ledger",
        "Show whom a holder answered about what, why it refused, and what is left to ask.",
    ),
    "audit": ("audit:app", "Read a node's log, and prove it unchanged."),
}
"""Where each command or group is, and what the list of commands says about it; a test holds the two equal."""


class _Commands(MutableMapping[str, Any]):
    """The commands by name, each made when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _load(name, COMMANDS[name][0])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Root(typer.core.TyperGroup):
    """The group of all commands, which lists them without loading them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands out of the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


def _load(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(import_module(f"salerno.cli.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        alone = commands("", completion=False)
        alone.command(name)(found)
        found = alone
    command = typer.main.get_command(found)
    command.name = name
    return command


def _version(wanted: bool) -> None:
    if wanted:
        from salerno import __version__

        print(f"salerno {__version__}")
        raise typer.Exit


app = commands(
    "A European health data space that anyone can run: one question, several countries, "
    "one exact and safe answer.",
    group=_Root,
    completion=True,
)


@app.callback()
def salerno(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """Options of the command itself."""
