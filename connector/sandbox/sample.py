"""A sample drop of 1,000 invented people, as an HR system would export it, and the feed file that maps it.

Every name, number and address is made up; phone numbers are from the ranges that regulators keep free for fiction.
The same seed gives the same bytes.
"""

from __future__ import annotations

import csv
import io
import random
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

from connector.sandbox.settings import CONTOSO, JOB, SERVICE_PRINCIPAL

SAMPLE_FEED_NAME: Final = "employees"
SAMPLE_DROP_NAME: Final = "people-2026-11.csv"
SAMPLE_FEED: Final = (
    """\
# config/feeds/employees.yaml: how the HR export of the folder inbox/employees becomes accounts in Microsoft Entra ID.
# The Provisioning API Endpoint, as the Entra portal shows it on the provisioning app's overview page:
"""
    f"endpoint: https://graph.microsoft.com/v1.0/servicePrincipals/{SERVICE_PRINCIPAL}"
    f"/synchronization/jobs/{JOB}/bulkUpload\n"
    """\
content: full                       # every drop holds everybody

# SCIM attribute: expression, in the language of Entra's attribute mappings. [Column] is a column of the file.
mapping:
  externalId: "[PersonNo]"

  # jose.lukasiak@contoso.com, whatever the accents and spaces of José Łukasiak; another company has another domain.
  userName: >-
    Join("@",
      ToLower(NormalizeDiacritics(StripSpaces(Join(".", [GivenName], [Surname])))),
      Switch([Company], "contoso.com", "Contoso Ventures", "contoso-ventures.example"))

  # An unknown word falls through as it is. It is neither True nor False, so its row is rejected: nobody is switched off
  # (or on) by a spelling mistake.
  active: Switch([State], [State], "Working", "True", "On leave", "True", "Left", "False")

  displayName: Join(" ", IIF(IsPresent([KnownAs]), [KnownAs], [GivenName]), [Surname])
  name.givenName: "[GivenName]"
  name.familyName: "[Surname]"
  title: "[JobTitle]"
  userType: Employee
  preferredLanguage: Switch([Country], "en-GB", "DE", "de-DE", "FR", "fr-FR", "SE", "sv-SE", "US", "en-US")
  emails[type eq "work"].value: >-
    Join("@",
      ToLower(NormalizeDiacritics(StripSpaces(Join(".", [GivenName], [Surname])))),
      Switch([Company], "contoso.com", "Contoso Ventures", "contoso-ventures.example"))
  emails[type eq "work"].primary: true
  phoneNumbers[type eq "work"].value: "[DeskPhone]"
  addresses[type eq "work"].streetAddress: "[Street]"
  addresses[type eq "work"].locality: "[Town]"
  addresses[type eq "work"].postalCode: "[PostCode]"
  addresses[type eq "work"].country: "[Country]"

  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber: "[PersonNo]"
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department: "[Team]"
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter: Join("-", [Country], [CostCentre])
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization: "[Company]"
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value: "[ReportsTo]"

  # 24.11.2026 becomes 2026-11-24T00:00:00Z.
"""
    f'  {CONTOSO}:HireDate: FormatDateTime([FirstDay], , "dd.MM.yyyy", "yyyy-MM-ddTHH:mm:ssZ")\n'
    f"\nextensions:\n  {CONTOSO}: {{HireDate: DateTime}}\n"
    """
guards: {max_disabled: 5%, max_removed: 5%, max_rejected: 2%}
"""
)
"""`config/feeds/employees.yaml`, for `sample()`'s columns."""

FEWEST_ROWS: Final = 200
MOST_ROWS: Final = 5000

DUPLICATE_NAME: Final = "AzureActiveDirectoryDuplicateUserPrincipalName"
UNKNOWN_DOMAIN: Final = "AzureActiveDirectoryDomainDoesNotExist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A drop (CSV, UTF-8, CRLF) and what is planted in it. Rows count from 1, the header is none.

    `rejected` is row to why; `duplicates` the rows that a later row replaces; `leavers` the externalIds of those who
    left (in rows that are sent); `failures` externalId to Entra's error code; `late_managers` the externalIds whose
    first report comes before them.
    """

    content: bytes
    rows: int
    rejected: Mapping[int, str]
    duplicates: tuple[int, ...]
    leavers: frozenset[str]
    failures: Mapping[str, str]
    late_managers: frozenset[str]

    @property
    def sent(self) -> int:
        """How many people are sent."""
        return self.rows - len(self.rejected) - len(self.duplicates)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """One record of the export, in the order of its columns."""

    number: str
    given: str
    surname: str
    known_as: str
    state: str
    job: str
    team: str
    cost_centre: str
    company: str
    street: str
    town: str
    post_code: str
    country: str
    phone: str
    reports_to: str
    first_day: str
    contract: str

    def cells(self) -> list[str]:
        return [getattr(self, name) for name in self.__slots__]


COLUMNS: Final = (
    "PersonNo",
    "GivenName",
    "Surname",
    "KnownAs",
    "State",
    "JobTitle",
    "Team",
    "CostCentre",
    "Company",
    "Street",
    "Town",
    "PostCode",
    "Country",
    "DeskPhone",
    "ReportsTo",
    "FirstDay",
    "Contract",
)


def sample(rows: int = 1000, *, seed: int = 2026) -> Sample:
    """A drop of so many rows. Raises ValueError for too few to hold all that is planted, or too many to name."""
    if not FEWEST_ROWS <= rows <= MOST_ROWS:
        raise ValueError(f"a sample has {FEWEST_ROWS} to {MOST_ROWS} rows")
    source = random.Random(seed)
    # The last row is the second record of somebody.
    people = list(_people(source, rows - 1))
    # Never a manager's place (those are multiples of the span), so that nobody's manager is missing.
    places = iter(range(_SPAN // 2, len(people), _SPAN * (rows // (_PLANTED * _SPAN))))

    rejected: dict[int, str] = {}
    for state, why in (("Sabbatical", "unknown status word"), ("Wroking", "misspelt status word")):
        place = next(places)
        people[place] = replace(people[place], state=state)
        rejected[place + 1] = why
    place = next(places)
    people[place] = replace(people[place], number="", state="Working")
    rejected[place + 1] = "no PersonNo"
    place = next(places)
    people[place] = replace(people[place], state="Working", first_day="31.02.2019")
    rejected[place + 1] = "no such day"
    too_long, too_short = next(places), next(places)
    rejected |= {too_long + 1: "a field too many", too_short + 1: "fields missing"}

    # Side by side, and so (but for an unlucky size) in one bulk request: which of two requests comes first is open.
    namesake = next(places) + 1
    for place in (namesake - 1, namesake):
        people[place] = replace(people[place], given="Noor", surname="Haddad", known_as="", state="Working")
    stranger = next(places)
    people[stranger] = replace(people[stranger], company="Contoso Ventures", state="Working")
    failures = {people[namesake].number: DUPLICATE_NAME, people[stranger].number: UNKNOWN_DOMAIN}

    place = next(places)
    people[place] = replace(people[place], given="Suryati", surname="", known_as="")
    place = next(places)
    people[place] = replace(people[place], street='Gate "C", Level 2\n17 Harbour Road')
    twice = next(places)
    people[twice] = replace(people[twice], state="Working")
    people.append(replace(people[twice], job="Team Lead", contract="Permanent"))

    return Sample(
        content=_csv(people, too_long=too_long, too_short=too_short),
        rows=rows,
        rejected=rejected,
        duplicates=(twice + 1,),
        leavers=frozenset(
            person.number for row, person in enumerate(people, 1) if person.state == "Left" and row not in rejected
        ),
        failures=failures,
        late_managers=_late_managers(people),
    )


# How many people a manager comes with, and how many places the planted cases need.
_SPAN: Final = 12
_PLANTED: Final = 13


def _people(source: random.Random, count: int) -> Iterator[_Person]:
    names = _names(source)
    numbers = [f"P{number}" for number in _numbers(source, count)]
    # Managers are scattered, and the director's number is in the middle: many come after their reports.
    director = numbers[count // 2 - count // 2 % _SPAN]
    heads: dict[str, list[str]] = {team: [] for team in _TEAMS}
    managed = {numbers[place]: team for place, team in zip(range(0, count, _SPAN), _endless(_TEAMS), strict=False)}
    for number, team in managed.items():
        heads[team].append(number)
    for place, number in enumerate(numbers):
        given, surname = next(names)
        town = source.choice(_TOWNS)
        team = managed.get(number) or source.choice(tuple(_TEAMS))
        cost_centre, jobs = _TEAMS[team]
        hired = date(2008, 1, 7) + timedelta(days=source.randrange(6800))
        if number == director:
            manager, job = "", "Managing Director"
        elif number in managed:
            manager, job = director, f"Head of {team}"
        else:
            manager, job = source.choice(heads[team]), source.choice(jobs)
        yield _Person(
            number=number,
            given=given,
            surname=surname,
            known_as=given[:3] if source.random() < 0.04 and given.isascii() else "",
            state=_state(place),
            job=job,
            team=team,
            cost_centre=cost_centre,
            company="Contoso",
            street=f"{source.randrange(1, 180)} {source.choice(_STREETS)}"
            if town.country in {"GB", "US", "IE", "AU"}
            else f"{source.choice(_STREETS)} {source.randrange(1, 180)}",
            town=town.name,
            post_code=town.post_code,
            country=town.country,
            phone=town.phone.format(source.randrange(100)),
            reports_to=manager,
            first_day=f"{hired:%d.%m.%Y}",
            contract=source.choice(("Permanent", "Permanent", "Permanent", "Fixed term", "Agency")),
        )


def _state(place: int) -> str:
    # Odd, so never a manager: those have even places.
    if place % 32 == 7:
        return "Left"
    return "On leave" if place % 27 == 11 else "Working"


def _numbers(source: random.Random, count: int) -> Iterator[int]:
    number = 10_400
    for _ in range(count):
        number += source.randrange(1, 9)
        yield number


def _names(source: random.Random) -> Iterator[tuple[str, str]]:
    """Pairs that stay different when accents and spaces are gone, as long as there are any."""
    pairs = [(given, surname) for given in _GIVEN for surname in _SURNAMES]
    source.shuffle(pairs)
    yield from pairs


def _endless(teams: Mapping[str, object]) -> Iterator[str]:
    while True:
        yield from teams


def _late_managers(people: list[_Person]) -> frozenset[str]:
    seen: set[str] = set()
    late: set[str] = set()
    for person in people:
        seen.add(person.number)
        if person.reports_to and person.reports_to not in seen:
            late.add(person.reports_to)
    return frozenset(late)


def _csv(people: list[_Person], *, too_long: int, too_short: int) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for place, person in enumerate(people):
        cells = person.cells()
        if place == too_long:
            # What comes of a comma that the export forgot to quote.
            cells[9:10] = ["Old Mill", "Unit 4"]
        elif place == too_short:
            del cells[-3:]
        writer.writerow(cells)
    return unicodedata.normalize("NFC", text.getvalue()).encode()


@dataclass(frozen=True, slots=True)
class _Town:
    name: str
    post_code: str
    country: str
    phone: str


_TOWNS: Final = (
    # Ofcom, BNetzA, ARCEP, PTS, NANPA and ACMA each keep numbers for films and books; ComReg's are 020 91x.
    _Town("London", "EC1M 4AA", "GB", "+44 20 7946 00{:02}"),
    _Town("Cardiff", "CF10 1BH", "GB", "+44 29 2018 00{:02}"),
    _Town("Berlin", "10119", "DE", "+49 30 23125 0{:02}"),
    _Town("Köln", "50672", "DE", "+49 221 4710 1{:02}"),
    _Town("München", "80331", "DE", "+49 89 99998 1{:02}"),
    _Town("Besançon", "25000", "FR", "+33 3 53 01 00 {:02}"),
    _Town("Göteborg", "411 06", "SE", "+46 31 390 06{:02}"),
    _Town("Seattle", "98101", "US", "+1 206 555 01{:02}"),
    _Town("Dún Laoghaire", "A96 X7C1", "IE", "+353 20 913 00{:02}"),
    _Town("Melbourne", "3000", "AU", "+61 3 7010 00{:02}"),
)

_STREETS: Final = (
    "Cordwainer Lane",
    "Granary Wharf",
    "Kiln Street",
    "Lantern Row",
    "Mühlenweg",
    "Orchard Yard",
    "Quai des Tanneurs",
    "Skeppsbron",
    "Weavers' Court",
)

_TEAMS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "Applied Research": ("4100", ("Chemist", "Lab Technician", "Research Fellow", "Statistician")),
    "Customer Care": ("5200", ("Care Adviser", "Complaints Handler", "Shift Lead")),
    "Finance": ("1300", ("Accountant", "Payroll Officer", "Treasury Analyst")),
    "Field Service": ("5600", ("Service Engineer", "Dispatcher", "Spare Parts Clerk")),
    "Legal & Compliance": ("1700", ("Counsel", "Data Protection Officer", "Paralegal")),
    "People": ("1500", ("HR Partner", "Recruiter", "Learning Designer")),
    "Platform": ("4300", ("Developer", "Site Reliability Engineer", "Test Engineer", "UX Writer")),
    "Production": ("6100", ("Machine Operator", "Process Planner", "Tool Maker", "Quality Inspector")),
    "Warehouse": ("6400", ("Forklift Driver", "Picker", "Stock Controller")),
}

_GIVEN: Final = (
    "Aaliyah", "Agnès", "Ajith", "Alžběta", "Amadou", "Anaïs", "Andrius", "Ásta", "Ayşe", "Bartłomiej", "Beatriz",
    "Benoît", "Blessing", "Božena", "Brónagh", "Cătălin", "Chidi", "Chloé", "Ciarán", "Dagný", "Dilip", "Dušan",
    "Ebba", "Elīna", "Emeka", "Enikő", "Fatoumata", "Finn", "François", "Gülsüm", "Håkon", "Hana", "Hélène", "Ikram",
    "Inés", "Ingeborg", "Jagoda", "João", "Jürgen", "Kaito", "Kateřina", "Keisha", "Kwame", "Lê", "Líadan", "Lwazi",
    "Maëlle", "Małgorzata", "Matěj", "Mehmet", "Mireille", "Nadia", "Ngozi", "Niamh", "Óscar", "Owain", "Parveen",
    "Pál", "Quentin", "Raúl", "Rúna", "Saoirse", "Siddharth", "Søren", "Tamsin", "Temür", "Thandiwe", "Ümit", "Uzma",
    "Vårin", "Weronika", "Xiomara", "Yasmin", "Yūki", "Zoë", "Žiga",
)  # fmt: skip

_SURNAMES: Final = (
    "Abara", "Achterberg", "Adeyinka", "Ångström", "Arslanoğlu", "Balogun", "Kalniete", "Birkeland", "Bjarnason",
    "Bondarenko", "Brânză", "Castelló", "Çelik", "Chaudhary", "Cieślak", "Corrêa", "Dąbek", "Delacroix", "de la Vega",
    "Drăgulescu", "Dvořáček", "Eriksdotter", "Fáilbhe", "Fernández", "Figueirôa", "Fjelstad", "Gâlcă", "Gutiérrez",
    "Hämäläinen", "Holloway", "Hřebíček", "Iwasaki", "Jankauskas", "Jónsdóttir", "Kamara", "Kovačić", "Krogh",
    "Kvist", "Lefèvre", "Lindqvist", "Łukasiak", "MacAskill", "Mwangi", "Müller-Brandt", "Nakashima", "Ndiaye",
    "Nordström", "Novotná", "Ó Faoláin", "O'Driscoll", "Okonjo", "Öztürk", "Papoutsis", "Pereira", "Petrauskaitė",
    "Prévost", "Quispe", "Rasmussen", "Rossignol", "Rahimi", "Sæther", "Šimůnek", "Skarsgaard", "Sørbø", "Szőke",
    "Tadesse", "Thibault", "Țurcanu", "Tui", "Ulverstad", "van den Berg", "Vasquez", "Wójtowicz", "Xhaferi", "Yıldız",
    "Zabłocki", "Zhou", "Živković",
)  # fmt: skip
