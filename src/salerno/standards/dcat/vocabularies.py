"""Authority lists of the EU Publications Office and of HealthData@EU that descriptions point into."""

from __future__ import annotations

from dataclasses import dataclass

EU = "http://publications.europa.eu/resource/authority/"
HEALTH = "https://hdeu-dcat.data.health.europa.eu/resource/authority/"

HEALTH_CATEGORIES = HEALTH + "healthcategories"
"""Scheme of the Art. 51 categories; a concept is the scheme, a slash, and the category's code."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One entry of an authority list.

    Args:
        scheme: IRI of the list.
        code: Last part of the concept's IRI.
        label: English label.
        kind: Class that DCAT-AP's range constraints ask for, as a prefixed name.
    """

    scheme: str
    code: str
    label: str
    kind: str = "skos:Concept"

    @property
    def iri(self) -> str:
        """The concept's IRI."""
        return f"{self.scheme}/{self.code}"


NON_PUBLIC = Concept(EU + "access-right", "NON_PUBLIC", "non-public", "dct:RightsStatement")
HEAL = Concept(EU + "data-theme", "HEAL", "Health")
PERSONAL_DATA = Concept(EU + "dataset-type", "PERSONAL_DATA", "Personal data")
STATISTICAL = Concept(EU + "dataset-type", "STATISTICAL", "Statistical data")

_COUNTRIES = (
    "AT AUT Austria, BE BEL Belgium, BG BGR Bulgaria, HR HRV Croatia, CY CYP Cyprus, CZ CZE Czechia, "
    "DK DNK Denmark, EE EST Estonia, FI FIN Finland, FR FRA France, DE DEU Germany, GR GRC Greece, "
    "HU HUN Hungary, IE IRL Ireland, IT ITA Italy, LV LVA Latvia, LT LTU Lithuania, LU LUX Luxembourg, "
    "MT MLT Malta, NL NLD Netherlands, PL POL Poland, PT PRT Portugal, RO ROU Romania, SK SVK Slovakia, "
    "SI SVN Slovenia, ES ESP Spain, SE SWE Sweden, EU EUR European Union"
)
_LANGUAGES = (
    "bg BUL Bulgarian, cs CES Czech, da DAN Danish, de DEU German, el ELL Greek, en ENG English, "
    "es SPA Spanish, et EST Estonian, fi FIN Finnish, fr FRA French, ga GLE Irish, hr HRV Croatian, "
    "hu HUN Hungarian, it ITA Italian, lt LIT Lithuanian, lv LAV Latvian, mt MLT Maltese, nl NLD Dutch, "
    "pl POL Polish, pt POR Portuguese, ro RON Romanian, sk SLK Slovak, sl SLV Slovenian, sv SWE Swedish"
)


def _read(table: str, scheme: str, kind: str) -> dict[str, Concept]:
    rows = (row.split(" ", 2) for row in table.split(", "))
    return {short: Concept(EU + scheme, code, label, kind) for short, code, label in rows}


COUNTRIES = _read(_COUNTRIES, "country", "dct:Location")
"""Concepts of the country list by ISO 3166-1 alpha-2 code, and the Union as EU."""

LANGUAGES = _read(_LANGUAGES, "language", "dct:LinguisticSystem")
"""Concepts of the language list by ISO 639-1 code."""

COUNTRY_CODES = {concept.iri: code for code, concept in COUNTRIES.items()}
LANGUAGE_CODES = {concept.iri: code for code, concept in LANGUAGES.items()}
