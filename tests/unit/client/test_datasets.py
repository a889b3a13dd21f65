from __future__ import annotations

from typing import Any

import pytest

from salerno import Dataset, Invalid

PERSON = {"name": "sex", "datatype": "string", "n": 900, "levels": ["F", "M"], "description": "Sex"}
DESCRIPTION: dict[str, Any] = {
    "iri": "https://lyon.example/datasets/gi",
    "identifier": "gi",
    "title": "Bleeding <Lyon>",
    "description": "Records.",
    "holder": {"iri": "did:web:lyon.example", "name": "Hospital Lyon", "country": "FR"},
    "access_body": {"iri": "did:web:hdab.example", "name": "HDAB", "country": "FR"},
    "categories": ["EHRS"],
    "n_persons": 890,
    "tables": [
        {"name": "person", "variables": [PERSON, {"name": "age", "datatype": "integer"}]},
        {"name": "drug_era", "variables": [{"name": "drug_concept_id", "datatype": "integer"}]},
    ],
}


def test_the_dictionary_is_a_table() -> None:
    frame = Dataset(DESCRIPTION).variables()
    assert list(frame["variable"]) == ["sex", "age", "drug_concept_id"]
    assert frame.loc[0, "levels"] == "F, M"
    assert list(Dataset(DESCRIPTION).variables("drug_era")["variable"]) == ["drug_concept_id"]


def test_a_scope_asks_for_everything_unless_told() -> None:
    scope = Dataset(DESCRIPTION).scope()
    assert scope["tables"] == {"person": ["sex", "age"], "drug_era": ["drug_concept_id"]}
    assert (scope["holder"], scope["country"]) == ("did:web:lyon.example", "FR")
    assert Dataset(DESCRIPTION).scope(["drug_era"])["tables"] == {"drug_era": ["drug_concept_id"]}
    assert Dataset(DESCRIPTION).scope({"person": ["age"]})["tables"] == {"person": ["age"]}


def test_misspelt_names_are_met_with_the_nearest() -> None:
    with pytest.raises(Invalid, match="Did you mean 'person'"):
        Dataset(DESCRIPTION).scope(["persn"])
    with pytest.raises(Invalid, match="Did you mean 'age'"):
        Dataset(DESCRIPTION).scope({"person": ["agee"]})


def test_notebooks_show_it_escaped() -> None:
    html = Dataset(DESCRIPTION)._repr_html_()
    assert "Bleeding &lt;Lyon&gt;" in html
    assert "890" in html
    assert "890 persons" in repr(Dataset(DESCRIPTION))


def test_an_unpublished_count_is_said() -> None:
    assert "not published" in Dataset({**DESCRIPTION, "n_persons": None})._repr_html_()
