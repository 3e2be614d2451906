"""The drop and the feed of the benchmarks: an export of 24 columns and its mapping to 19 attributes."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from typing import Final

COLUMNS: Final = (
    *("WorkerID", "WorkerStatus", "WorkerType", "UserID", "FirstName", "LastName", "FullName", "Pronouns", "ManagerID"),
    *("HireDate", "OnLeave", "Department", "Division", "CostCenter", "Company", "Location", "JobTitle"),
    *("StreetAddress", "City", "CountryCode", "OfficePhone", "Custom01", "Custom02", "ZipCode"),
)

FEED: Final = b"""
endpoint: https://graph.microsoft.com/v1.0/servicePrincipals/a/synchronization/jobs/b/bulkUpload
mapping:
  externalId: "[WorkerID]"
  userName: Join("@", ToLower([UserID]), "contoso.com")
  active: Switch([WorkerStatus], "False", "Active", "True")
  displayName: "[FullName]"
  userType: "[WorkerType]"
  title: "[JobTitle]"
  name.givenName: "[FirstName]"
  name.familyName: "[LastName]"
  addresses[type eq "work"].streetAddress: "[StreetAddress]"
  addresses[type eq "work"].locality: "[City]"
  addresses[type eq "work"].postalCode: "[ZipCode]"
  addresses[type eq "work"].country: "[CountryCode]"
  phoneNumbers[type eq "work"].value: "[OfficePhone]"
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber: "[WorkerID]"
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:costCenter: "[CostCenter]"
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:organization: "[Company]"
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:division: "[Division]"
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department: "[Department]"
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value: "[ManagerID]"
"""

_GIVEN: Final = ("Ada", "Bjørn", "Chloé", "Dmitri", "Eva", "Farid", "Grace", "Hanna", "Ivo", "Jun")
_FAMILY: Final = ("Abel", "Bauer", "Costa", "Duval", "Eriksen", "Fischer", "García", "Huber", "Ito", "Jansen")
_TOWNS: Final = (("Lyon", "FR"), ("Kiel", "DE"), ("Leeds", "GB"), ("Chicago", "US"), ("Vigo", "ES"), ("", ""))
_CHUNK: Final = 10_000


def rows(count: int) -> Iterator[list[str]]:
    """So many records, invented, the same every time; about one cell in twelve is empty."""
    source = random.Random(24)
    for number in range(1, count + 1):
        given, family, (town, country) = source.choice(_GIVEN), source.choice(_FAMILY), source.choice(_TOWNS)
        worker = str(1_000_000 + number)
        boss = str(1_000_001 + number // 10)
        active = source.random() < 0.9
        yield [
            *(worker, "Active" if active else "Inactive", source.choice(("Employee", "Contractor")), f"EMP{worker}"),
            *(given, family, f"{given} {family}", "", boss, f"20{number % 26:02d}-03-{number % 28 + 1:02d}"),
            *(str(not active), source.choice(("Sales", "Finance", "Research & Development", "Logistics", ""))),
            *(source.choice(("Electronics", "Textiles", "Consumer Goods")), f"CC{number % 900 + 3000}"),
            *("Woodgrove", "Europe", source.choice(("Sales Executive", "Engineer", "Analyst", "Vice President", ""))),
            *(f"{number % 300} Mansion Court" if town else "", town, country, f"259-915-{number % 10_000:04d}"),
            *("T1001", f"BTK{number % 100}", f"{number % 90_000 + 10_000}"),
        ]


def drop(count: int) -> Iterator[bytes]:
    """A CSV file as a Windows program writes it (UTF-8, CRLF), in pieces."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for number, row in enumerate(rows(count), start=1):
        writer.writerow(row)
        if number % _CHUNK == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()
