"""Log lines."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from salerno.adapters.logs import configure


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before, level


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.strip().splitlines()[-1]


def test_a_line_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    logging.getLogger("salerno.x").info("took %d ms\nin all", 5, extra={"job": "k", "place": object})
    line = json.loads(last_line(capsys))
    assert (line["level"], line["from"], line["message"]) == ("info", "salerno.x", "took 5 ms\nin all")
    assert line["job"] == "k"
    assert line["at"].endswith("+00:00")


def test_personal_fields_and_tokens_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    logging.getLogger("x").info(
        "sent Authorization: Bearer abc.def and %s", "eyJhbGciOi.eyJpc3Mi.c2ln", extra={"person": "p-4711"}
    )
    line = last_line(capsys)
    for secret in ("abc.def", "eyJhbGciOi", "p-4711"):
        assert secret not in line
    logging.getLogger("x").info("%(person)s read %(n)d", {"person": "p-4711", "n": 3})
    assert "p-4711" not in last_line(capsys)


def test_an_error_is_written_with_its_place_but_without_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info")
    try:
        raise ValueError("bad token eyJhbGciOi.eyJpc3Mi.c2ln")
    except ValueError:
        logging.getLogger("x").exception("failed")
    line = json.loads(last_line(capsys))
    assert "ValueError" in line["error"]
    assert "eyJ" not in line["error"]


def test_plain_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure("WARNING", json=False)
    logging.getLogger("x").info("not shown")
    logging.getLogger("x").warning("shown")
    assert last_line(capsys).endswith("WARNING x: shown")


def test_request_lines_of_the_http_library_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure("DEBUG")
    logging.getLogger("httpx").info("GET https://x/?person=4711")
    assert capsys.readouterr().err == ""
