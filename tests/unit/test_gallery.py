"""Each method has an example in the gallery, and each example is one that can be asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from salerno.analysis.methods import METHODS
from salerno.analysis.questions import check_keys
from salerno.holdings.rules import pack_folder, read_bundle

FOLDER = Path(__file__).parents[2] / "docs" / "gallery"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_method_has_an_example(name: str) -> None:
    path = FOLDER / f"{name}.json"
    assert path.exists(), f"write docs/gallery/{name}.json with a question to show the method by"
    example = json.loads(path.read_text())
    assert set(example) <= {"question", "frame"}
    assert example["question"]["method"] == name
    check_keys(example["question"], METHODS[name].PARAMETERS)


def test_the_example_app_is_the_one_that_its_question_names() -> None:
    folder = FOLDER.parent / "examples" / "flower-logistic"
    bundle = read_bundle(pack_folder(folder, (folder / "initial.npz").read_bytes()))
    question = json.loads((FOLDER / "federated_learning.json").read_text())["question"]
    assert question["app"] == bundle.digest, f"write {bundle.digest} into federated_learning.json"
    assert [entry["name"] for entry in question["arrays"]] == list(bundle.initial)


def test_no_example_is_of_a_method_that_is_gone() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} <= set(METHODS)
