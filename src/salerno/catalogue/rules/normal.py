"""The one form in which a description is stored and published."""

from __future__ import annotations

import calendar
import re
from dataclasses import replace
from datetime import date

from salerno.catalogue.model import Agent, DatasetDescription, TableDescription, Variable

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """The text without outer blanks, with line feeds as line ends, and blanks for what XML cannot carry."""
    return _FORBIDDEN.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def last_of_month(year: int, month: int) -> date:
    """The last day of a month."""
    return date(year, month, calendar.monthrange(year, month)[1])


def normal_form(description: DatasetDescription) -> DatasetDescription:
    """The description as the catalogue stores and publishes it: equal content gives equal values.

    Texts lose outer blanks and characters that XML cannot carry; repetitions go; a title that only repeats
    the name is dropped, and so are a description that only repeats the title and an access page that is
    the data set's own IRI; the covered period runs from the first to the last day of its months.
    """
    d = description
    return replace(
        d,
        iri=d.iri.strip(),
        identifier=clean(d.identifier),
        title=clean(d.title),
        description=clean(d.description),
        holder=_normal_agent(d.holder),
        access_body=_normal_agent(d.access_body),
        categories=tuple(dict.fromkeys(d.categories)),
        keywords=tuple(dict.fromkeys(word for word in map(clean, d.keywords) if word)),
        provenance=clean(d.provenance),
        tables=tuple(map(_normal_table, d.tables)),
        covers_from=d.covers_from and d.covers_from.replace(day=1),
        covers_to=d.covers_to and last_of_month(d.covers_to.year, d.covers_to.month),
        population_coverage=clean(d.population_coverage),
        coding_systems=tuple(dict.fromkeys(d.coding_systems)),
        access_url="" if d.access_url == d.iri else d.access_url,
    )


def _normal_agent(agent: Agent) -> Agent:
    contact = agent.contact
    return replace(
        agent,
        iri=agent.iri.strip(),
        name=clean(agent.name),
        contact=replace(
            contact, name=clean(contact.name), email=contact.email.strip(), page=contact.page.strip()
        ),
    )


def _normal_table(table: TableDescription) -> TableDescription:
    name, title = clean(table.name), clean(table.title)
    return replace(
        table,
        name=name,
        title="" if title == name else title,
        description=clean(table.description),
        variables=tuple(map(_normal_variable, table.variables)),
    )


def _normal_variable(variable: Variable) -> Variable:
    name, title, description = clean(variable.name), clean(variable.title), clean(variable.description)
    title = "" if title == name else title
    return replace(
        variable,
        name=name,
        title=title,
        description="" if description == (title or name) else description,
        levels=tuple(
            dict.fromkeys(
                level for level in variable.levels if "\r" not in level and not _FORBIDDEN.search(level)
            )
        ),
    )
