"""Commands on a node's folder: an operator's and a steward's."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import stat
from pathlib import Path

import numpy as np
import pytest

from salerno.holdings.rules import pack_bundle, render_arrays
from salerno.kernel.errors import Invalid
from tests.unit.cli.conftest import Salerno

BODY = ["--role", "access-body", "--name", "French access body", "--country", "FR"]


@pytest.fixture
def body(salerno: Salerno, tmp_path: Path) -> Path:
    run = salerno("node", "init", tmp_path / "body", *BODY, "--url", "http://127.0.0.1:7202")
    assert run.code == 0, run.err
    return tmp_path / "body"


@pytest.fixture
def holder(salerno: Salerno, tmp_path: Path, body: Path) -> Path:
    folder = tmp_path / "holder"
    did = salerno("node", "show", body, "--json").json["did"]
    words = ["--role", "holder", "--name", "Lyon", "--country", "FR", "--url", "http://127.0.0.1:7203"]
    assert salerno("node", "init", folder, *words, "--access-body", did).code == 0
    admitted = salerno("node", "admit", folder, "--did", did, *BODY, "--url", "http://127.0.0.1:7202")
    assert admitted.code == 0, admitted.err
    return folder


def test_a_node_is_made_once(salerno: Salerno, body: Path) -> None:
    assert stat.S_IMODE((body / "keys").stat().st_mode) == 0o700
    again = salerno("node", "init", body, *BODY, "--url", "http://127.0.0.1:7202")
    assert (again.code, again.err.split(":")[0]) == (5, "node-exists")


def test_settings_are_checked(salerno: Salerno, tmp_path: Path) -> None:
    url = ["--url", "http://127.0.0.1:7202"]
    wrong = salerno("node", "init", tmp_path / "x", "--role", "hup", "--name", "x", "--country", "EU", *url)
    assert wrong.code == 2
    assert "Did you mean 'hub'" in wrong.err
    assert not (tmp_path / "x").exists()
    open_url = salerno("node", "init", tmp_path / "x", *BODY, "--url", "http://hub.example")
    assert (open_url.code, open_url.err.split(":")[0]) == (2, "settings-url")


def test_a_folder_without_a_node(salerno: Salerno, tmp_path: Path) -> None:
    for words in (["node", "show"], ["audit", "verify"], ["account", "list"], ["holding", "list"]):
        run = salerno(*words, tmp_path)
        assert (run.code, run.err.split(":")[0]) == (4, "no-node")


def test_participants_are_shown(salerno: Salerno, holder: Path) -> None:
    shown = salerno("node", "show", holder, "--json").json
    assert shown["role"] == "holder"
    assert [p["name"] for p in shown["participants"]] == ["French access body"]
    text = salerno("node", "show", holder).out
    assert "French access body" in text
    assert "did:web:127.0.0.1%3A7202" in text


def test_a_database_password_is_not_shown(
    salerno: Salerno, body: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from salerno.cli.nodes import _without_password

    assert "secret" not in _without_password("postgresql://user:secret@db.example/node")


def test_accounts(salerno: Salerno, body: Path) -> None:
    add = ["account", "add", body, "--login", "odile", "--name", "Odile", "--password-stdin"]
    made = salerno(*add, "--role", "officer", "--role", "operator", "--json", stdin="correct horse battery\n")
    assert made.code == 0, made.err
    assert made.json["roles"] == ["officer", "operator"]
    assert salerno(*add, "--role", "officer", stdin="correct horse battery\n").code == 5
    wrong = salerno(*add, "--role", "offcer", stdin="x\n")
    assert (wrong.code, "Did you mean 'officer'" in wrong.err) == (2, True)
    assert salerno(*add[:-1], "--role", "officer").code == 2
    assert salerno(*add, "--role", "officer", stdin="\n").code == 2
    (account,) = salerno("account", "list", body, "--json").json
    assert account["login"] == "odile"
    assert "correct horse" not in salerno("account", "list", body).out
    assert "correct horse" not in salerno("audit", "show", body, "--json").out


def test_data_are_connected_and_described(salerno: Salerno, holder: Path, tmp_path: Path) -> None:
    data = tmp_path / "patients.csv"
    with data.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["age", "sex"])
        writer.writerows([20 + i % 60, "FM"[i % 2]] for i in range(200))
    words = ["holding", "connect", holder, "--id", "gi", "--title", "Register", "--kind", "tables"]
    assert salerno(*words, "--source", tmp_path / "nowhere.csv").code in (2, 4)
    assert salerno("holding", "list", holder, "--json").json == []
    connected = salerno(*words, "--source", data, "--json")
    assert connected.code == 0, connected.err
    assert connected.json["dataset"].startswith("http://127.0.0.1:7203/")
    assert salerno(*words, "--source", data).code == 5
    assert "Register" in salerno("holding", "list", holder).out
    described = salerno(
        "holding", "describe", holder, "gi", "--category", "PHDR", "--keyword", "age", "--json"
    )
    assert described.code == 0, described.err
    assert described.json["n_persons"] == 200
    assert described.json["categories"] == ["PHDR"]
    text = salerno("holding", "describe", holder, "gi", "--no-publish")
    assert (text.code, "200" in text.out) == (0, True)
    assert salerno("holding", "describe", holder, "gj").code == 4
    assert "Known are" in salerno("holding", "describe", holder, "gi", "--category", "?").err
    kind = salerno(*words[:-1], "omap", "--source", data)
    assert (kind.code, "Did you mean 'omop'" in kind.err) == (2, True)


def test_a_receipt_is_proof_elsewhere(salerno: Salerno, holder: Path, tmp_path: Path) -> None:
    receipt, key, other = tmp_path / "r.json", tmp_path / "k.json", tmp_path / "o.json"
    receipt.write_text(salerno("audit", "receipt", holder, 0).out)
    key.write_text(salerno("audit", "key", holder).out)
    other.write_text(salerno("audit", "key", tmp_path / "body").out)
    good = salerno("audit", "check-receipt", receipt, "--key", key)
    assert good.code == 0, good.err
    assert "participant-admitted" in good.out
    assert salerno("audit", "check-receipt", receipt, "--key", key, "--json").json["valid"] is True
    assert salerno("audit", "check-receipt", receipt, "--key", other).code == 3
    forged = json.loads(receipt.read_text())
    forged["entry"] = forged["entry"].replace("French", "German").replace("7202", "7204")
    receipt.write_text(json.dumps(forged))
    assert salerno("audit", "check-receipt", receipt, "--key", key).err.startswith("receipt-forged")
    assert salerno("audit", "check-receipt", tmp_path / "none.json", "--key", key).code == 4
    receipt.write_text("{")
    assert salerno("audit", "check-receipt", receipt, "--key", key).code == 2
    assert salerno("audit", "receipt", holder, 99).code == 4


def test_a_changed_log_is_noticed(salerno: Salerno, holder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "checkpoint"
    kept.write_text(salerno("audit", "checkpoint", holder).out)
    whole = salerno("audit", "verify", holder, "--checkpoint", kept)
    assert (whole.code, "Nothing was changed." in whole.out) == (0, True), whole.err
    assert salerno("audit", "verify", holder, "--json").json["ok"] is True
    with sqlite3.connect(holder / "node.db") as connection:
        (table,) = connection.execute(
            "select name from sqlite_master where name like 'audit_%entr%' and type = 'table'"
        ).fetchone()
        for (trigger,) in connection.execute(
            "select name from sqlite_master where type = 'trigger'"
        ).fetchall():
            connection.execute(f"drop trigger {trigger}")
        connection.execute(f"update {table} set text = replace(text, 'French', 'German')")
        connection.execute(f"update {table} set text = replace(text, 'admitted', 'expelled')")
    broken = salerno("audit", "verify", holder)
    assert (broken.code, broken.err.split(":")[0]) == (5, "log-changed")
    assert "First break at entry 0." in broken.out


def test_the_policy_of_a_holding(salerno: Salerno, holder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("age,sex\n" + "30,F\n40,M\n" * 10)
    made = salerno("holding", "connect", holder, "--id", "a", "--title", "A", "--source", tmp_path / "a.csv",
                   "--kind", "tables")  # fmt: skip
    assert made.code == 0, made.err
    assert salerno("holding", "policy", holder, "a", "--json").json["min_cell"] == 10
    (tmp_path / "policy.toml").write_text('preset = "ehrql"\nmin_cell = 12\n')
    set_ = salerno("holding", "policy", holder, "a", tmp_path / "policy.toml", "--json")
    assert (set_.json["min_cell"], set_.json["rounding"]) == (12, 5)
    shown = salerno("holding", "policy", holder, "a").out
    assert "none of those that have a name" in shown
    assert re.search(r"rounding +5 +Counts of tables are multiples", shown)
    wrong = salerno("holding", "policy", holder, "a", "-", stdin="min_cel = 3")
    assert wrong.code == 2
    assert "min_cell" in wrong.err
    assert salerno("holding", "policy", holder, "a", "--json").json["min_cell"] == 12
    acts = salerno("audit", "show", holder, "--act", "policy-set", "--json").out
    assert "policy-set" in acts


def test_the_ledger_of_a_holder_without_questions(salerno: Salerno, holder: Path) -> None:
    assert salerno("ledger", holder, "--json").json == {"entries": [], "columns": [], "budgets": []}
    assert salerno("ledger", holder, "--refused").code == 0


def test_the_ledger_tells_what_was_refused_and_why(
    salerno: Salerno, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    from salerno.kernel.errors import Refused
    from salerno.nodes import assemble
    from salerno.nodes.local import LocalSpace

    rows = "".join(f"{20 + i % 60},{'FM'[i % 2]}\n" for i in range(200))
    (tmp_path / "a.csv").write_text("age,sex\n" + rows)
    with LocalSpace([tmp_path / "a.csv"]) as space:
        space.ask({"method": "count", "by": "sex"})
        with pytest.raises(Refused):
            space.ask({"method": "count"}, frame={"where": [{"column": "age", "operator": "<", "value": 79}]})
        # The node is open in this process already, with keys that are nowhere on disk.
        monkeypatch.setattr(assemble, "open_node", lambda folder: nullcontext(space._holders[0]))
        told = salerno("ledger", tmp_path, "--json").json["entries"]
        refused = salerno("ledger", tmp_path, "--refused")
    assert [entry["persons"] for entry in told] == [200, None]
    assert told[1]["refusal"]["entries"] == [told[0]["id"]]
    assert "the whole set differs from the whole set by 3 of its persons (beside 1)" in refused.out


def test_apps_of_a_holding(salerno: Salerno, holder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("age,sex\n" + "30,F\n40,M\n" * 10)
    words = ["--id", "a", "--title", "A", "--source", tmp_path / "a.csv", "--kind", "tables"]
    assert salerno("holding", "connect", holder, *words).code == 0
    example, bundle = Path(__file__).parents[3] / "docs/examples/flower-logistic", tmp_path / "app.zip"
    made = salerno("app", "bundle", example, "--out", bundle, "--json").json
    assert made["question"]["arrays"][0] == {"name": "0", "shape": [1, 2], "dtype": "float64"}
    assert salerno("app", "list", holder, "a", "--json").json == []
    allowed = salerno(
        "app", "allow", holder, "a", bundle, "--python", "/opt/flower/bin/python", "--json"
    ).json
    assert (allowed["digest"], allowed["name"]) == (made["digest"], "logistic")
    assert salerno("app", "allow", holder, "a", bundle).code == 0  # again, with another interpreter
    assert [app["digest"] for app in salerno("app", "list", holder, "a", "--json").json] == [made["digest"]]
    assert salerno("app", "allow", holder, "a", tmp_path / "a.csv").err.startswith("app-bundle")
    assert salerno("app", "allow", holder, "b", bundle).code == 4
    assert salerno("app", "forbid", holder, "a", "zz").code == 4
    assert salerno("app", "forbid", holder, "a", made["digest"][:8]).code == 0
    assert salerno("app", "list", holder, "a", "--json").json == []
    acts = salerno("audit", "show", holder, "--json").out
    assert acts.count("app-allowed") == 2
    assert "app-forbidden" in acts


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pyproject.toml": b"[project]\n"}, "clientapp"),
        ({"pyproject.toml": b"="}, "no TOML"),
        ({"app.py": None}, "no module app"),
        ({"initial.npz": None}, "no initial.npz"),
        ({"initial.npz": b"x"}, "plain NumPy arrays"),
        ({"../out.py": b""}, "out of its folder"),
    ],
    ids=lambda value: "".join(value) if isinstance(value, dict) else "",
)
def test_what_is_no_bundle_is_told(change: dict[str, bytes | None], words: str) -> None:
    files: dict[str, bytes | None] = {
        "pyproject.toml": b'[tool.flwr.app.components]\nclientapp = "app:app"\n',
        "app.py": b"",
        "initial.npz": render_arrays({"w": np.zeros(2)}),
    }
    kept = {name: content for name, content in files.items() if content is not None}
    assert pack_bundle(kept) == pack_bundle(dict(reversed(kept.items())))
    wrong = {name: content for name, content in {**files, **change}.items() if content is not None}
    with pytest.raises(Invalid, match=words):
        pack_bundle(wrong)
