"""The demo: a small data space on this machine, and the main job told from end to end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the person who runs the demo decides.

    Args:
        cdm: Own OMOP sources, one per hospital; empty means GiBleed or a synthetic population.
        persons: Size of the synthetic population; None means GiBleed.
        seed: Seed of the synthetic population.
        serve: Leave the nodes running until Ctrl-C.
        folder: Where the nodes keep their files.
        report: Where the report goes; in the folder by default.
    """

    cdm: tuple[str, ...] = ()
    persons: int | None = None
    seed: int = 2025
    serve: bool = False
    folder: Path = Path("salerno-demo")
    report: Path | None = None


def run_demo(options: DemoOptions) -> None:
    """Run the demo; see `salerno.nodes.demo.story`."""
    from salerno.nodes.demo.story import tell

    tell(options)
