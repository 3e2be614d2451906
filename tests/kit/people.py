"""A sample whose personal data can be told from anything else: `privacy.py` looks for it in every log record."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

from connector.sandbox.settings import CONTOSO, JOB, SERVICE_PRINCIPAL

COLUMNS = ("Number", "Given", "Family", "Login", "Phone", "Boss", "State", "Team", "Hired")
MARK = "zyx~"
"""Is in every name and login, in whatever case. No base64 (ETags, block ids, tokens), hex, uuid or time has a tilde,
and no URL, JSON or HTML writes it otherwise; Entra takes it in a userPrincipalName."""
PHONE_MARK = "555 0188"
PORTAL_ENDPOINT = (
    f"https://graph.microsoft.com/beta/servicePrincipals/{SERVICE_PRINCIPAL}/synchronization/jobs/{JOB}/bulkUpload"
)


def worker(number: int, **changes: str) -> dict[str, str]:
    """One row of the sample; `changes` are cells by column."""
    return {
        "Number": str(7000 + number),
        "Given": f"{MARK.title()}given{number}",
        "Family": f"{MARK.title()}family{number}",
        "Login": f"{MARK}{number}",
        "Phone": f"+1 {PHONE_MARK} {number:04}",
        "Boss": "7001" if number > 1 else "",
        "State": "Active",
        "Team": "Works",
        "Hired": "2026-11-24",
    } | changes


def workers(count: int, first: int = 1) -> list[dict[str, str]]:
    return [worker(number) for number in range(first, first + count)]


def ids(rows: Iterable[Mapping[str, str]]) -> list[str]:
    """The externalIds of rows."""
    return [row["Number"] for row in rows]


def csv_of(rows: Iterable[Mapping[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def feed_file(endpoint: str = PORTAL_ENDPOINT) -> str:
    """The sample's feed. `Hired` is passed on unchecked: a custom attribute that only Entra knows the type of."""
    return f"""\
endpoint: {endpoint}
mapping:
  externalId: "[Number]"
  userName: Join("@", [Login], "contoso.com")
  active: Switch([State], [State], "Active", "True", "Left", "False")
  displayName: Join(" ", [Given], [Family])
  name.givenName: "[Given]"
  name.familyName: "[Family]"
  emails[type eq "work"].value: Join("@", [Login], "contoso.com")
  phoneNumbers[type eq "work"].value: "[Phone]"
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department: "[Team]"
  urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value: "[Boss]"
  {CONTOSO}:HireDate: "[Hired]"
extensions:
  {CONTOSO}: {{HireDate: String}}
guards: {{max_disabled: 100%, max_removed: 100%, max_rejected: 100%}}
"""
