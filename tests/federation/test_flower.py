"""Flower apps at holders: the answer is Flower's own, and an app that means harm gets nowhere."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from salerno.analysis.methods import federated_learning
from salerno.client.answer import Answer
from salerno.holdings.engine.apps.host import SandboxedApps
from salerno.holdings.model import App, Learning, Task, Trained
from salerno.holdings.rules import pack_folder, read_bundle, split_rows
from salerno.kernel.errors import Invalid, Refused
from salerno.nodes.local import LocalSpace
from salerno.permits.model import DisclosurePolicy
from tests.flower import EXAMPLE, app_of, flower_python
from tests.unit.analysis.methods.harness import scope_of

ORACLE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, Metadata, RecordDict
from flwr.serverapp import strategy as strategies
from logistic.client_app import app

given = json.loads(sys.argv[2])
strategy = getattr(strategies, given["strategy"])(**given["options"])
arrays = ArrayRecord([np.zeros((1, 2)), np.zeros(1)])
for number in range(1, given["rounds"] + 1):
    if hasattr(strategy, "current_arrays"):
        if given["strategy"] == "FedAvgM":
            strategy.current_arrays = strategy.current_arrays or arrays
        else:
            strategy.current_arrays = {k: v.numpy() for k, v in arrays.items()}
    replies = []
    for node, path in enumerate(given["paths"]):
        content = RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": number})})
        about = Metadata(1, f"m{node}", 1, node + 2, "", "", 0.0, 1e10, "train")
        context = Context(1, node + 2, {"data-path": path}, RecordDict(), given["config"])
        replies.append(app(Message(content=content, metadata=about), context))
    arrays, _ = strategy.aggregate_train(number, replies)
print(json.dumps([a.tolist() for a in arrays.to_numpy_ndarrays()]))
"""


def rows(seed: int, n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age, ulcer = rng.normal(60, 10, n), rng.integers(0, 2, n)
    risk = 1 / (1 + np.exp(-(age / 20 - 3.5 + ulcer)))
    return pd.DataFrame({"age": age, "peptic_ulcer": ulcer, "status": (rng.random(n) < risk).astype(int)})


@pytest.fixture(scope="module")
def bundle() -> bytes:
    return pack_folder(EXAMPLE, (EXAMPLE / "initial.npz").read_bytes())


def question_of(bundle: bytes, **more: Any) -> dict[str, Any]:
    arrays = [
        {"name": name, "shape": list(array.shape), "dtype": str(array.dtype)}
        for name, array in read_bundle(bundle).initial.items()
    ]
    return {
        "method": "federated_learning",
        "app": read_bundle(bundle).digest,
        "variables": ["age", "peptic_ulcer", "status"],
        "arrays": arrays,
        "rounds": 3,
        **more,
    }


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sites")
    for seed in range(3):
        rows(seed, 60 + 10 * seed).to_parquet(folder / f"site{seed}.parquet")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def space(bundle: bytes, sites: list[Path]) -> Iterator[LocalSpace]:
    with LocalSpace(sites, apps=[bundle], app_python=flower_python()) as opened:
        yield opened


def test_the_model_is_the_one_that_flower_trains(
    space: LocalSpace, bundle: bytes, sites: list[Path], tmp_path: Path
) -> None:
    """The same app, rows and rounds by Flower's own strategy classes; here with masks and in sandboxes."""
    paths = []
    for site in sites:
        train, _ = split_rows(pa.Table.from_pandas(pd.read_parquet(site)), 0.2)
        paths.append(str(tmp_path / site.name))
        train.to_pandas().to_parquet(paths[-1])
    config = read_bundle(bundle).config
    options = {"eta": 0.2}
    given = {"strategy": "FedAdam", "options": options, "rounds": 3, "paths": paths, "config": config}
    done = subprocess.run(
        [flower_python(), "-c", ORACLE, str(EXAMPLE), json.dumps(given)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    asked = question_of(bundle, strategy="fedadam", strategy_options=options, evaluate_metrics=["accuracy"])
    answer = Answer(space.ask(asked))
    for got, wanted in zip(answer.arrays().values(), json.loads(done.stdout), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12)
    assert answer.n == 210
    assert answer.result["n_train"] == 168
    assert [entry["round"] for entry in answer.result["history"]] == [0, 1, 2, 3]
    assert answer.result["history"][0]["evaluate_loss"] == pytest.approx(np.log(2))
    assert answer.result["membership"][0]["rows_held_out"] == 42
    assert {"history", "arrays", "membership"} <= set(answer.tables())


def test_an_app_that_no_steward_has_allowed_does_not_run(space: LocalSpace, bundle: bytes) -> None:
    with pytest.raises(Refused, match="may not run on this holder's data"):
        space.ask(question_of(bundle, app="0" * 64))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"arrays": [{"name": "0", "shape": [0]}]}, Invalid, "list of whole numbers"),
        ({"rounds": 298}, Refused, "more than the 300"),
        ({"strategy": "krum"}, Refused, "nobody sees more than their sum"),
        ({"strategy": "fedavgg"}, Invalid, "Did you mean 'fedavg'"),
        ({"variables": ["age", "holder"]}, Invalid, "not told at which holder"),
        ({"holdout": 0}, Refused, "kept from training"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_what_cannot_be_asked(
    change: dict[str, Any], error: type[Exception], words: str, space: LocalSpace, bundle: bytes
) -> None:
    with pytest.raises(error, match=words):
        space.ask(question_of(bundle, **change))


HEAD = """
import os, socket, threading, time
import numpy as np
from flwr.app import ArrayRecord, Array, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()

def tried(act):
    try:
        act()
    except BaseException:
        return 0.0
    return 1.0

def reply(msg, values, n=1):
    arrays = ArrayRecord({"w": Array(np.asarray(values, dtype=np.float64))})
    return Message(content=RecordDict({"a": arrays, "m": MetricRecord({"num-examples": n})}), reply_to=msg)

@app.train()
def train(msg, context):
"""


def open_app(tmp_path: Path, body: str, width: int) -> Any:
    """An app, loaded as a holder loads it, beside rows that it could steal."""
    text = HEAD + "".join(f"    {line}\n" for line in body.strip().splitlines())
    bundle = app_of(tmp_path, text, {"w": np.zeros(width)})
    about = {"holding": "", "digest": "", "name": "", "version": "", "python": flower_python()}
    app = App(**about, allowed_at=datetime.now(UTC), bundle=bundle)
    learning = Learning(app="", session="", arrays=(("w", (width,), "float64"),), config={}, holdout=0.2)
    return closing(SandboxedApps().open(app, learning, pa.Table.from_pandas(rows(0, 50))))


def test_an_app_reaches_nothing_outside_its_sandbox(tmp_path: Path) -> None:
    """Every way out in one app: each that is found open counts one."""
    secret = tmp_path / "secret"
    secret.write_text("of the holder")
    (tmp_path / "app").mkdir()
    ways = [
        'lambda: socket.create_connection(("127.0.0.1", 22), 1)',
        "lambda: socket.socket(socket.AF_UNIX)",
        f"lambda: open({str(secret)!r}).read()",
        'lambda: open("/etc/passwd").read()',
        f"lambda: open({str(Path.home() / '.profile')!r}).read()",
        f'lambda: open({str(tmp_path / "left")!r}, "w")',
        'lambda: open("/usr/left", "w")',
        'lambda: open("/left", "w")',
        'lambda: open("/data/train.parquet", "w")',
        "lambda: os.fork()",
        'lambda: os.posix_spawn("/usr/bin/env", ["env"], {})',
        'lambda: os.memfd_create("x")',
        "lambda: os.kill(os.getppid(), 9) if os.getppid() > 1 else os.setuid(0)",
        'lambda: open("/tmp/x", "wb").write(bytes(300 << 20))',
        "lambda: bytearray(1 << 34)",
        'lambda: [os.environ[name] for name in ("SALERNO_URL", "PYTHONPATH", "USER", "SSH_AUTH_SOCK")]',
        'lambda: open("/data/train.parquet", "rb").read()',
    ]
    body = f"return reply(msg, [tried(way) for way in [{', '.join(ways)}]])"
    with open_app(tmp_path / "app", body, len(ways)) as session:
        found = session.run(Task(arrays=(np.zeros(len(ways)),), train=()))
    # The last way is no way out: the app's own rows, so that a closed door is told from a broken test.
    assert [way for way, is_open in zip(ways, found.arrays[0], strict=True) if is_open] == ways[-1:]
    assert not (tmp_path / "left").exists()


FAILING = """
kind = msg.content["config"]["kind"]
if kind == "words":
    raise ValueError(open(context.node_config["data-path"], "rb").read())
if kind == "nan":
    return reply(msg, [float("nan")])
if kind == "shape":
    return reply(msg, [1.0, 2.0])
if kind == "count":
    return reply(msg, [1.0], n=10**6)
if kind == "fine":
    return reply(msg, [1.0], n=40)
for place in range(3, 9):
    tried(lambda: os.write(place, b"x" * 4096))
"""


def test_an_app_that_fails_is_told_of_in_our_words(tmp_path: Path) -> None:
    model = (np.zeros(1),)
    with open_app(tmp_path, FAILING, 1) as session:
        for kind in ("words", "nan", "shape", "count", "garbage"):
            with pytest.raises((Invalid, Refused)) as refusal:
                session.run(Task(arrays=model, train=(), settings={"kind": kind}))
            assert refusal.value.code == ("app-ended" if kind == "garbage" else "app-failed")
            assert "PAR1" not in str(refusal.value)
            if kind == "count":
                done = session.run(Task(arrays=model, train=(), settings={"kind": "fine"}))
                assert (done.n, done.rows) == ((40, 0), (40, 10))
                with pytest.raises(Invalid, match="num-examples"):
                    session.run(Task(arrays=model, train=("profit",), settings={"kind": "fine"}))


def state_of(bundle: bytes, policy: DisclosurePolicy | None = None, **change: Any) -> Any:
    asked = question_of(bundle, **change)
    scope = scope_of([rows(seed) for seed in range(3)], policy or DisclosurePolicy())
    counted = federated_learning.step(
        {"counts": np.array([900, 900])}, federated_learning.start(asked, scope)
    )
    return counted


def test_a_row_in_place_of_a_model_is_cut_to_the_allowed_change(bundle: bytes) -> None:
    """An app that a steward has let in can do this at one holder: the limit bounds what it tells."""
    state = state_of(bundle, DisclosurePolicy(max_update_norm=0.5), clip_norm=9.0)
    first = {"counts": np.array([720, 180]), "array0": np.zeros((1, 2)), "array1": np.zeros(1)}
    state = federated_learning.step(first, state)
    training = federated_learning.train(state)
    assert training is not None
    stolen = Trained(rows=(240, 60), n=(240, 60), arrays=(np.array([[63.2, 1.0]]), np.array([1e9])))
    sums = training.finish(replace(stolen, metrics=((), (0.7,))))
    length = np.sqrt(sum(float(((sums[f"array{i}"] / 240) ** 2).sum()) for i in range(2)))
    assert length == pytest.approx(0.5)


def test_a_model_with_too_many_numbers_for_its_rows_is_refused(bundle: bytes) -> None:
    state = state_of(bundle, arrays=[{"name": "0", "shape": [20, 20]}])
    with pytest.raises(Refused, match="parameters are more than"):
        federated_learning.step({"counts": np.array([720, 180]), "array0": np.zeros((20, 20))}, state)


TORCH = """
import pyarrow.parquet as pq
import torch
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()

@app.train()
def train(msg, context):
    rows = pq.read_table(context.node_config["data-path"]).to_pydict()
    x = torch.tensor([rows["age"], rows["peptic_ulcer"]], dtype=torch.float32).T / torch.tensor([100.0, 1.0])
    y = torch.tensor(rows["status"], dtype=torch.float32)
    model = torch.nn.Linear(2, 1)
    model.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x)[:, 0], y)
    loss.backward()
    optimiser.step()
    metrics = MetricRecord({"loss": float(loss), "num-examples": len(y)})
    content = RecordDict({"a": ArrayRecord(model.state_dict()), "m": metrics})
    return Message(content=content, reply_to=msg)
"""


@pytest.mark.skipif(
    "SALERNO_TORCH_PYTHON" not in os.environ,
    reason="SALERNO_TORCH_PYTHON names no interpreter with torch, Flower and pyarrow",
)
def test_a_torch_model_trains_by_an_interpreter_that_is_not_the_nodes(tmp_path: Path) -> None:
    python = os.environ["SALERNO_TORCH_PYTHON"]
    initial = {"weight": np.zeros((1, 2), np.float32), "bias": np.zeros(1, np.float32)}
    arrays = (("weight", (1, 2), "float32"), ("bias", (1,), "float32"))
    about = {"holding": "", "digest": "", "name": "", "version": "", "python": python}
    app = App(**about, allowed_at=datetime.now(UTC), bundle=app_of(tmp_path, TORCH, initial))
    learning = Learning(app="", session="", arrays=arrays, config={}, holdout=0.0)
    seen = rows(0, 50)
    with closing(SandboxedApps().open(app, learning, pa.Table.from_pandas(seen))) as session:
        done = session.run(Task(arrays=session.run(Task()).arrays, train=("loss",)))
    assert done.metrics[0][0] == pytest.approx(np.log(2), rel=1e-6)
    # One step of gradient descent from zeros: half the mean of (y - 1/2) x.
    gap = seen["status"].to_numpy() - 0.5
    x = seen[["age", "peptic_ulcer"]].to_numpy() / [100.0, 1.0]
    np.testing.assert_allclose(done.arrays[0][0], 0.5 * (gap @ x) / len(x), rtol=1e-5)
    np.testing.assert_allclose(done.arrays[1], [0.5 * gap.mean()], rtol=1e-5, atol=1e-8)
