"""Makes the pages that come from the code, and fills the folders of the navigation with their pages."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
OUTSIDE = {
    "README.md": None,
    "GLOSSARY.md": "glossary.md",
    "SECURITY.md": "security-policy.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages that lie beside the code, and where they go in the site."""

REFERENCE = ("commands", "methods", "python", "states", "deadlines", "errors")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the folders of the navigation with their pages."""
    for entry in config.nav or []:
        for title, place in list(entry.items()):
            if isinstance(place, str) and place.endswith("/"):
                entry[title] = _pages(place)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages and those from outside of docs/."""
    for source, target in OUTSIDE.items():
        if target:
            text = _relinked((ROOT / source).read_text(encoding="utf-8"))
            files.append(File.generated(config, target, content=text))
    gallery = _gallery()
    for name, text in (("index", gallery.index()), *gallery.pages()):
        files.append(File.generated(config, f"gallery/{name}.md", content=text))
    for name in REFERENCE:
        files.append(File.generated(config, f"reference/{name}.md", content=globals()[f"_{name}"]()))
    return files


def _pages(folder: str) -> list[str]:
    if folder == "gallery/":
        from salerno.analysis.pages.methods import method_menu

        named = [f"gallery/{name}.md" for _, entries in method_menu() for name, _ in entries]
        return ["gallery/index.md", *named]
    if folder == "reference/":
        return [f"reference/{name}.md" for name in REFERENCE]
    return [f"{folder}{path.name}" for path in sorted((ROOT / "docs" / folder).glob("*.md"))]


def _gallery() -> Any:
    """The module beside this one, which mkdocs does not put on the path."""
    spec = importlib.util.spec_from_file_location("salerno_gallery", ROOT / "docs" / "gallery.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _relinked(text: str) -> str:
    """Links as they are in the repository, as they must be in the site."""
    text = text.replace("](docs/", "](")
    for source, target in OUTSIDE.items():
        text = text.replace(f"]({source})", f"]({target or 'index.md'})")
    return text


def _commands() -> str:
    import typer

    from salerno.cli.app import app

    lines = ["# Commands", "", "Exit codes: 0 done, 1 unexpected, 2 wrong input, 3 refused, 4 not found, "
             "5 conflict, 6 unavailable.", ""]  # fmt: skip
    group: Any = typer.main.get_command(app)
    lines += _command(group, "salerno", 2)
    return "\n".join(lines)


def _command(command: Any, path: str, depth: int) -> list[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    lines = [f"{'#' * min(depth, 4)} {path}", "", inspect.cleandoc(command.help or ""), ""]
    if not getattr(command, "commands", None):
        lines += ["```text", command.get_usage(context), "```", ""]
        options = [p.get_help_record(context) for p in command.params]
        shown = [record for record in options if record and record[0] != "--help"]
        lines += [f"- `{name.strip()}`: {text}" for name, text in shown] + [""]
    for name, inner in getattr(command, "commands", {}).items():
        lines += _command(inner, f"{path} {name}", depth + 1)
    return lines


def _methods() -> str:
    lines = [
        "# Methods",
        "",
        "What each method answers, what a question of it looks like, and what comes back.",
        "",
    ]
    for path in sorted((ROOT / "src/salerno/analysis/methods").glob("[!_]*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        lines += [f"## {path.stem}", "", text.replace("``", "`"), ""]
    return "\n".join(lines)


def _python() -> str:
    import salerno

    lines = ["# Python", "", "`import salerno` gives these names.", ""]
    for name in salerno.__all__:
        value = getattr(salerno, name)
        if name.startswith("_"):
            continue
        lines += [f"## {name}", "", *_doc(name, value)]
        if inspect.isclass(value) and not issubclass(value, Exception):
            for inner, member in inspect.getmembers(value):
                if inner.startswith("_") or not inspect.getdoc(member):
                    continue
                lines += [f"### {name}.{inner}", "", *_doc(f".{inner}", member)]
    return "\n".join(lines)


def _doc(name: str, value: Any) -> list[str]:
    lines = []
    if inspect.isroutine(value):
        signature = re.sub(
            r"'", "", str(inspect.signature(value)).replace("self, ", "").replace("(self)", "()")
        )
        lines = ["```python", f"{name}{signature}", "```", ""]
    return [*lines, "```text", inspect.getdoc(value) or "", "```", ""]


def _states() -> str:
    from salerno.kernel.states import StateTable

    lines = ["# States", "", "Each table is the code itself: no other step is possible.", ""]
    seen: set[int] = set()
    for path in sorted((ROOT / "src/salerno").glob("*/rules*")) + sorted(
        (ROOT / "src/salerno").glob("*/rules/*.py")
    ):
        if path.suffix != ".py" or path.name == "__init__.py":
            continue
        module = importlib.import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
        for value in vars(module).values():
            if isinstance(value, StateTable) and id(value) not in seen:
                seen.add(id(value))
                lines += [
                    f"## {value.noun}",
                    "",
                    "| from | step | to | who | rule |",
                    "|---|---|---|---|---|",
                ]
                lines += [
                    f"| {s.source or '(new)'} | {s.verb} | {s.target} | {s.actor} | {s.rule} |"
                    for s in value.steps
                ]
                lines.append("")
    return "\n".join(lines)


def _deadlines() -> str:
    from salerno.permits.rules.deadlines import DEADLINES

    lines = ["# Deadlines", "", "The table that legal clocks run by, with working days and holidays of "
             "the access body's country (Regulation (EEC, Euratom) No 1182/71).", "",
             "| what is due | by whom | begins with | within | can be prolonged by | stands still | met by | "
             "if missed | rule |", "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for row in DEADLINES:
        within = f"{row.length or 'until'}" + (f" before {row.anchor}" if row.anchor and row.length else "")
        within += f" {row.anchor}" if row.anchor and not row.length else ""
        longer = str(row.extension or ("any time" if row.extendable_freely else ""))
        waits = f"{', '.join(row.paused_by)} to {', '.join(row.resumed_by)}" if row.paused_by else ""
        cells = (row.label, row.owes, ", ".join(row.starts), within, longer, waits, ", ".join(row.met_by),
                 row.missed, row.rule)  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _errors() -> str:
    from salerno.kernel import errors

    lines = ["# Errors", "", "Each branch has its exit code and HTTP status; the code names the kind.", "",
             "| branch | meaning | exit code | HTTP status |", "|---|---|---|---|"]  # fmt: skip
    for name, branch in errors.BRANCHES.items():
        meaning = (inspect.getdoc(branch) or "").splitlines()[0]
        lines.append(f"| `{name}` | {meaning} | {branch.exit_code} | {branch.status} |")
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "src/salerno").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in errors.BRANCHES
            ):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    found.setdefault(first.value, set()).add(node.func.id)
    lines += ["", "## Codes", "", "| code | branch |", "|---|---|"]
    lines += [f"| `{code}` | {', '.join(sorted(kinds))} |" for code, kinds in sorted(found.items())]
    return "\n".join(lines) + "\n"
