"""Random valid descriptions, agents and catalogues."""

from __future__ import annotations

from datetime import UTC, date, datetime

from hypothesis import strategies as st

from salerno.catalogue.model import (
    LANGUAGES,
    Agent,
    ContactPoint,
    DatasetDescription,
    Datatype,
    TableDescription,
    Variable,
)
from salerno.catalogue.rules import clean
from salerno.kernel.codes import COUNTRIES, DataCategory

CHARACTERS = st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")) | st.sampled_from("\n\t\"'\\<&")
texts = st.text(CHARACTERS, max_size=40)
filled = texts.filter(lambda text: bool(text.strip(" \n\t")) and bool(text.strip()))
_path = st.text(st.sampled_from("abcXYZ019-._~!$&'()*+,;=:@éßłπ"), min_size=1, max_size=8)
web = st.builds(
    lambda scheme, host, port, parts: f"{scheme}://{host}{port}/{'/'.join(parts)}",
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a.example", "node-1.example.org", "127.0.0.1"]),
    st.sampled_from(["", ":8101"]),
    st.lists(_path, max_size=3),
)
iris = st.one_of(
    web,
    st.builds(lambda page, part: f"{page}#{part}", web, _path),
    st.builds(lambda part: f"urn:uuid:{part}", _path),
    st.builds(lambda part: f"did:web:{part}", st.sampled_from(["a.example", "127.0.0.1%3A8101"])),
)
emails = st.from_regex(r"[a-zA-Z0-9!#$%&'*+/=?^_`{|}~.-]{1,10}@[a-z0-9]{1,8}\.eu", fullmatch=True)
counts = st.none() | st.integers(0, 2**53)


@st.composite
def contacts(draw: st.DrawFn) -> ContactPoint:
    email, page = draw(emails | st.just("")), draw(web | st.just(""))
    return ContactPoint(name=draw(texts), email=email or ("" if page else "a@b.eu"), page=page)


agents = st.builds(
    Agent, iri=iris, name=filled, country=st.sampled_from(sorted(COUNTRIES)), contact=contacts()
)

variables = st.builds(
    Variable,
    name=filled,
    datatype=st.sampled_from(Datatype),
    title=texts,
    description=texts,
    n=counts,
    levels=st.lists(texts, max_size=4).map(tuple),
    concept=web | st.just(""),
)


def _by_name(things: list) -> tuple:
    return tuple({clean(thing.name): thing for thing in things}.values())


tables = st.builds(
    TableDescription,
    name=filled,
    variables=st.lists(variables, min_size=1, max_size=4).map(_by_name),
    title=texts,
    description=texts,
    n_rows=counts,
)


@st.composite
def descriptions(draw: st.DrawFn, iri: str | None = None, holder: Agent | None = None,
                 access_body: Agent | None = None) -> DatasetDescription:  # fmt: skip
    ages = sorted(draw(st.tuples(st.integers(0, 120), st.integers(0, 120))))
    days = sorted(draw(st.tuples(*2 * [st.dates(date(1000, 1, 1), date(2200, 1, 1))])))
    holder = holder or draw(agents)
    access_body = access_body or draw(agents.filter(lambda a: a.iri != holder.iri))
    taken = {holder.iri, access_body.iri}
    return DatasetDescription(
        iri=iri or draw(iris.filter(lambda text: text not in taken)),
        identifier=draw(filled),
        title=draw(filled),
        description=draw(filled),
        holder=holder,
        access_body=access_body,
        categories=tuple(draw(st.lists(st.sampled_from(DataCategory), min_size=1, max_size=4))),
        keywords=tuple(draw(st.lists(filled, min_size=1, max_size=4))),
        provenance=draw(filled),
        modified=draw(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))),
        tables=draw(st.lists(tables, max_size=3).map(_by_name)),
        n_records=draw(counts),
        n_persons=draw(counts),
        min_age=draw(st.sampled_from([None, ages[0]])),
        max_age=draw(st.sampled_from([None, ages[1]])),
        covers_from=draw(st.sampled_from([None, days[0]])),
        covers_to=draw(st.sampled_from([None, days[1]])),
        population_coverage=draw(texts),
        coding_systems=tuple(draw(st.lists(web, max_size=3))),
        language=draw(st.sampled_from(sorted(LANGUAGES))),
        access_url=draw(web | st.just("")),
    )


@st.composite
def catalogues(draw: st.DrawFn) -> list[DatasetDescription]:
    """Several data sets with different IRIs, whose agents agree."""
    known = draw(st.lists(agents, min_size=2, max_size=4, unique_by=lambda a: a.iri))
    taken = {a.iri for a in known}
    names = draw(st.lists(iris.filter(lambda text: text not in taken), max_size=4, unique=True))
    return [
        draw(
            descriptions(
                iri=name, holder=draw(st.sampled_from(known)), access_body=draw(st.sampled_from(known))
            )
        )
        for name in names
    ]
