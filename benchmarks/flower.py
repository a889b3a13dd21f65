"""A round of training, ours and in Flower's simulation: the same app, rows and rounds, in one run.

Ours has masks, sandboxes, permits and the ledger, Flower's has none; neither evaluates, and both are
counted after their start. The regression that both train is asked of `glm` as well, which is how one would
ask it here. Needs bubblewrap and ``make flower`` with Ray (``make bench`` sees to it); without them that is
said.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from salerno.adapters.sandbox import why_not
from salerno.holdings.rules import pack_folder, read_bundle, split_rows
from salerno.nodes.local import LocalSpace
from salerno.permits.model import DisclosurePolicy

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "flower-logistic"
PROMISED = 10.0
ROUNDS = 20

SIMULATION = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import numpy as np
from flwr.app import ArrayRecord, Context
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
import logistic.client_app as logistic

given = json.loads(sys.argv[2])
client, server, ends = ClientApp(), ServerApp(), []

@client.train()
def train(msg, context):
    place = {"data-path": given["paths"][context.node_config["partition-id"]]}
    own = Context(context.run_id, context.node_id, place, context.state, given["config"])
    return logistic.train(msg, own)

@server.main()
def main(grid, context):
    strategy = FedAvg(fraction_evaluate=0.0)
    first = ArrayRecord([np.zeros((1, 2)), np.zeros(1)])
    ended = lambda number, arrays: ends.append(time.perf_counter())
    found = strategy.start(grid=grid, initial_arrays=first, num_rounds=given["rounds"], evaluate_fn=ended)
    model = [array.tolist() for array in found.arrays.to_numpy_ndarrays()]
    steps = np.diff(ends)[1:]  # the first round waits for Ray
    print("FOUND", json.dumps({"seconds": float(np.median(steps)), "model": model}))

run_simulation(server, client, num_supernodes=3, backend_config={"client_resources": {"num_cpus": 0.5}})
"""


def main() -> int:
    """Print both times and their ratios."""
    python = ROOT / ".venv" / "flower" / "bin" / "python"
    python = Path(sys.argv[1]) if len(sys.argv) > 1 else python
    if why_not() or not _has_simulation(python):
        print(f"left out: {why_not() or f'{python} has no Flower with its simulation'}")
        return 0
    bundle = pack_folder(EXAMPLE, (EXAMPLE / "initial.npz").read_bytes())
    with tempfile.TemporaryDirectory() as name:
        sites = [_site(Path(name), seed) for seed in range(3)]
        parts = [_training_part(site) for site in sites]
        theirs = _simulate(python, bundle, parts)
        policy = DisclosurePolicy(max_membership_advantage=1.0)
        with LocalSpace(sites, apps=[bundle], app_python=str(python), policy=policy) as space:
            ours, difference = _train(space, bundle, theirs)
            glm = _regression(space)
    ratio = theirs["seconds"] / glm
    print(f"Flower's simulation: {1000 * theirs['seconds']:.0f} ms a round")
    print(f"federated_learning, the same app: {1000 * ours:.0f} ms a round")
    print(f"  ratio: {theirs['seconds'] / ours:.1f}; largest difference of the models: {difference:.1e}")
    print(f"glm, the same regression: {1000 * glm:.0f} ms a round")
    print(f"  ratio: {ratio:.1f} (promised: at least {PROMISED:g})")
    return 0 if ratio >= PROMISED and difference < 1e-6 else 1


def _has_simulation(python: Path) -> bool:
    code = "import importlib.util as u; raise SystemExit(not (u.find_spec('flwr') and u.find_spec('ray')))"
    return python.exists() and subprocess.run([python, "-c", code]).returncode == 0


def _site(folder: Path, seed: int, n: int = 20_000) -> Path:
    rng = np.random.default_rng(seed)
    age, ulcer = rng.normal(60, 10, n), rng.integers(0, 2, n)
    status = (rng.random(n) < 1 / (1 + np.exp(-(age / 20 - 3.5 + ulcer)))).astype(int)
    path = folder / f"site{seed}.parquet"
    pd.DataFrame({"age": age, "peptic_ulcer": ulcer, "status": status}).to_parquet(path)
    return path


def _training_part(site: Path) -> str:
    """The rows that a holder trains on, for Flower to train on the same."""
    train, _ = split_rows(pa.Table.from_pandas(pd.read_parquet(site)), 0.0)
    path = site.with_name(f"train-{site.name}")
    train.to_pandas().to_parquet(path)
    return str(path)


def _simulate(python: Path, bundle: bytes, parts: list[str]) -> dict[str, Any]:
    given = {"paths": parts, "config": read_bundle(bundle).config, "rounds": ROUNDS}
    # As many threads as our sandbox lets an app have: sums of floats depend on their number.
    done = subprocess.run(
        [python, "-c", SIMULATION, str(EXAMPLE), json.dumps(given)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    )
    told = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    if not told:
        raise RuntimeError(f"Flower's simulation failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(told[0].removeprefix("FOUND "))
    return found


def _regression(space: LocalSpace) -> float:
    """Seconds of one round of a regression: the median from one share to the next, as for Flower."""
    fit = {"method": "glm", "formula": "status ~ age + peptic_ulcer", "family": "binomial"}
    for _ in range(5):
        space.ask(fit)
    with space._holders[0].reading_audit() as log:
        entries = log.entries(act="round-answered", limit=1000)
    steps = [
        (later.at - earlier.at).total_seconds()
        for earlier, later in itertools.pairwise(entries)
        if earlier.subject == later.subject
    ]
    return statistics.median(steps[-25:])


def _train(space: LocalSpace, bundle: bytes, theirs: dict[str, Any]) -> tuple[float, float]:
    """Seconds of one round, as what more rounds take longer than few, and the models' difference."""
    from salerno.client.answer import Answer

    arrays = [{"name": k, "shape": list(a.shape)} for k, a in read_bundle(bundle).initial.items()]
    question = {
        "method": "federated_learning",
        "app": read_bundle(bundle).digest,
        "variables": ["age", "peptic_ulcer", "status"],
        "arrays": arrays,
        "holdout": 0.0,
    }
    few, many = (Answer(space.ask({**question, "rounds": rounds})) for rounds in (ROUNDS, 4 * ROUNDS))
    pairs = zip(few.arrays().values(), theirs["model"], strict=True)
    difference = max(float(np.abs(mine - np.array(other)).max()) for mine, other in pairs)
    return (many.answer["seconds"] - few.answer["seconds"]) / (3 * ROUNDS), difference


if __name__ == "__main__":
    sys.exit(main())
