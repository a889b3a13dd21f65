from __future__ import annotations

import json
from pathlib import Path

from salerno.kernel.values import to_json
from tests.unit.cli.conftest import Salerno
from tests.unit.permits.test_fees import TEXT
from tests.unit.permits.world import application


def test_a_tariff_and_an_estimate_are_told(salerno: Salerno, tmp_path: Path) -> None:
    tariff, asked = tmp_path / "tariff.toml", tmp_path / "application.json"
    tariff.write_text(TEXT, "utf-8")
    asked.write_bytes(to_json(application("FR", "DE")))
    shown = salerno("fee", "show", str(tariff))
    assert "25.5 %" in shown.out
    told = salerno("fee", "estimate", str(tariff), str(asked), "--as", "university", "--country", "fr")
    assert "4 × 115.00 EUR for each hour of extraction; 40 % less for a university" in told.out
    bill = json.loads(salerno("fee", "estimate", str(tariff), str(asked), "--json").out)
    assert bill["total_cents"] == bill["net_cents"] + sum(t["tax_cents"] for t in bill["bill"]["taxes"])
    assert bill["bill"]["payer"] == "full"
    tariff.write_text(TEXT.replace("cents = 9000", "cents = 90.5"), "utf-8")
    wrong = salerno("fee", "show", str(tariff))
    assert wrong.code == 2
    assert "line 36: cents should be a whole number" in wrong.err
