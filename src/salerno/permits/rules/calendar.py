"""Periods of law on the calendar of a country: working days, public holidays, and when a period ends.

Regulation (EEC, Euratom) No 1182/71 says how: the day of the event is not counted (Art. 3(1)); a period ends
with the last hour of its last day (Art. 3(2)), or of the next working day where that day is a public
holiday, a Sunday or a Saturday (Art. 3(4)); two days or more hold two working days at least (Art. 3(5)).
Periods that are counted back from a day are not moved (Art. 3(4), second sentence).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from salerno.kernel.codes import COUNTRIES
from salerno.kernel.errors import Invalid, near
from salerno.kernel.time import Period, add_months

_ONE_DAY = timedelta(days=1)
_SATURDAY = 5

_ZONES: dict[str, str] = {
    "AT": "Europe/Vienna", "BE": "Europe/Brussels", "BG": "Europe/Sofia", "HR": "Europe/Zagreb",
    "CY": "Asia/Nicosia", "CZ": "Europe/Prague", "DK": "Europe/Copenhagen", "EE": "Europe/Tallinn",
    "FI": "Europe/Helsinki", "FR": "Europe/Paris", "DE": "Europe/Berlin", "GR": "Europe/Athens",
    "HU": "Europe/Budapest", "IE": "Europe/Dublin", "IT": "Europe/Rome", "LV": "Europe/Riga",
    "LT": "Europe/Vilnius", "LU": "Europe/Luxembourg", "MT": "Europe/Malta", "NL": "Europe/Amsterdam",
    "PL": "Europe/Warsaw", "PT": "Europe/Lisbon", "RO": "Europe/Bucharest", "SK": "Europe/Bratislava",
    "SI": "Europe/Ljubljana", "ES": "Europe/Madrid", "SE": "Europe/Stockholm", "EU": "Europe/Brussels",
}  # fmt: skip
"""The time of each capital, in which a day begins and ends for its access body."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days of one country.

    Args:
        country: ISO 3166-1 code, EU, or an ISO 3166-2 code such as DE-BE for a region's own holidays.
        holidays: Public holidays of a year.
        zone: Time in which its days begin and end.
    """

    country: str
    holidays: Callable[[int], frozenset[date]]
    zone: ZoneInfo

    def day_of(self, instant: datetime) -> date:
        """The day on which something happened, where the access body is."""
        return instant.astimezone(self.zone).date()

    def works(self, day: date) -> bool:
        """Whether it is a working day."""
        return day.weekday() < _SATURDAY and day not in self.holidays(day.year)

    def next_working_day(self, day: date) -> date:
        """The day itself if it is a working day, else the next one that is."""
        while not self.works(day):
            day += _ONE_DAY
        return day

    def plus(self, start: date, period: Period) -> date:
        """The last day of a period by its bare length, before it is moved to a working day."""
        if not period.working_days:
            later = add_months(start, period.months)
            return later + timedelta(days=period.days, weeks=period.weeks)
        day, left = start, period.working_days
        while left:
            day += _ONE_DAY
            left -= self.works(day)
        return day

    def end_of(self, start: date, *periods: Period, pause_days: int = 0) -> date:
        """The last day of a period that began with an event of the day `start`.

        Args:
            start: Day of the event; not counted.
            periods: The period, and those that prolong it. Each begins where the one before would have ended
                by its bare length: only the end of the whole is moved to a working day.
            pause_days: Days on which it did not run; added to its length.
        """
        end = start
        for period in periods:
            end = self.plus(end, period)
        end += timedelta(days=pause_days)
        if (end - start).days >= 2 and not any(period.working_days for period in periods):
            end = max(end, self.plus(start, Period(working_days=2)))
        end = self.next_working_day(end)
        return end


@cache
def calendar_of(country: str) -> Calendar:
    """The calendar of a country, or of a region of it.

    The holidays of a country are those of the whole of it; the European Union's institutions are taken to
    keep those of Belgium.

    Raises:
        Invalid: The country is no Member State, or has no such region.
    """
    state, _, region = country.partition("-")
    if state not in COUNTRIES:
        raise Invalid("country", f"{state!r} is no Member State", remedy=near(state, COUNTRIES))
    known = "BE" if state == "EU" else state
    # Takes a third of a second to import, which only those pay who look at a calendar.
    import holidays

    regions = holidays.list_supported_countries(include_aliases=False).get(known, [])
    if region and region not in regions:
        raise Invalid("region", f"{COUNTRIES[state]} has no region {region!r}", remedy=near(region, regions))

    # The library's own objects grow while they are read, which threads must not share.
    @cache
    def of_year(year: int) -> frozenset[date]:
        return frozenset(holidays.country_holidays(known, subdiv=region or None, years=year))

    return Calendar(country, of_year, ZoneInfo(_ZONES[state]))
