"""Converting: 100,000 rows of a 24-column CSV through read, map, digest and serialised bulk requests, beside its peers.

The peers are a hand-written loop for this one mapping (`csv`, a dict, `orjson`; one pass, no digest, no duplicates, no
checks) and scim2-models building the same users. All give byte-identical bodies, or equal users; that is checked first.
`python -m connector check` of the same file is timed too.
"""

from __future__ import annotations

import csv
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
from scim2_models import Address, EnterpriseUser, Manager, Name, PhoneNumber, User

from bench.people import FEED, drop
from connector.commands.check import check
from connector.mapping import load_feed
from connector.planning.decide import decide
from connector.vocabulary.bulk_request import BulkRequest

ROWS: Final = 100_000
RUNS: Final = 5
MODEL_ROWS: Final = 4_000
SCHEMAS: Final = [
    "urn:ietf:params:scim:schemas:core:2.0:User",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
]
BULK: Final = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]


def ours(content: bytes) -> Iterator[bytes]:
    """The bodies as `planning.decide` makes them; every row's decision is made too."""
    feed = load_feed(FEED, name="bench.yaml")
    landed = datetime(2026, 11, 24, tzinfo=UTC)
    for item in decide(lambda: io.BytesIO(content), name="bench.csv", landed=landed, feed=feed):
        if isinstance(item, BulkRequest):
            yield item.body


def by_hand(content: bytes) -> Iterator[bytes]:
    """What somebody who knows Python well writes for this file alone."""
    operations: list[dict[str, Any]] = []
    for row in _rows(content):
        operations.append({"method": "POST", "path": "/Users", "bulkId": row[0], "data": _user(row)})
        if len(operations) == 50:
            yield orjson.dumps({"schemas": BULK, "Operations": operations, "failOnErrors": None})
            operations = []
    if operations:
        yield orjson.dumps({"schemas": BULK, "Operations": operations, "failOnErrors": None})


def _rows(content: bytes) -> Iterator[list[str]]:
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""))
    next(reader)
    return reader


def _user(row: list[str]) -> dict[str, Any]:
    # fmt: off
    (worker, status, kind, user_id, given, family, full, _, manager, _, _, department, division, cost_center, company,
     _, title, street, city, country, phone, _, _, zip_code) = row
    # fmt: on
    user: dict[str, Any] = {
        "schemas": SCHEMAS,
        "externalId": worker,
        "userName": user_id.lower() + "@contoso.com",
        "active": status == "Active",
    }
    if full:
        user["displayName"] = full
    if kind:
        user["userType"] = kind
    if title:
        user["title"] = title
    name = {}
    if given:
        name["givenName"] = given
    if family:
        name["familyName"] = family
    if name:
        user["name"] = name
    address = {"type": "work"}
    if street:
        address["streetAddress"] = street
    if city:
        address["locality"] = city
    if zip_code:
        address["postalCode"] = zip_code
    if country:
        address["country"] = country
    if len(address) > 1:
        user["addresses"] = [address]
    if phone:
        user["phoneNumbers"] = [{"type": "work", "value": phone}]
    enterprise: dict[str, Any] = {"employeeNumber": worker}
    if cost_center:
        enterprise["costCenter"] = cost_center
    if company:
        enterprise["organization"] = company
    if division:
        enterprise["division"] = division
    if department:
        enterprise["department"] = department
    if manager:
        enterprise["manager"] = {"value": manager}
    user[SCHEMAS[1]] = enterprise
    return user


def with_models(content: bytes) -> Iterator[dict[str, Any]]:
    """The users by scim2-models, which checks what it builds; no bodies."""
    for row in _rows(content):
        # fmt: off
        (worker, status, kind, user_id, given, family, full, _, manager, _, _, department, division, cost_center,
         company, _, title, street, city, country, phone, _, _, zip_code) = row
        # fmt: on
        parts = {"street_address": street, "locality": city, "postal_code": zip_code, "country": country}
        address: dict[str, Any] = {name: value for name, value in parts.items() if value}
        user = User[EnterpriseUser](
            external_id=worker,
            user_name=user_id.lower() + "@contoso.com",
            active=status == "Active",
            display_name=full or None,
            user_type=kind or None,
            title=title or None,
            name=Name(given_name=given or None, family_name=family or None),
            addresses=[Address(type=Address.Type.work, **address)] if address else None,
            phone_numbers=[PhoneNumber(type=PhoneNumber.Type.work, value=phone)] if phone else None,
        )
        user[EnterpriseUser] = EnterpriseUser(
            employee_number=worker,
            cost_center=cost_center or None,
            organization=company or None,
            division=division or None,
            department=department or None,
            # Without pydantic's plugin mypy does not see that `ref` has a default.
            manager=Manager(value=manager) if manager else None,  # type: ignore[call-arg]
        )
        yield user.model_dump(mode="json")


def _operations(body: bytes) -> list[dict[str, Any]]:
    return list(orjson.loads(body)["Operations"])


def checked(content: bytes) -> Iterator[str]:
    """What `python -m connector check` prints, one line each."""
    with tempfile.TemporaryDirectory() as folder:
        feed, file = Path(folder, "bench.yaml"), Path(folder, "bench.csv")
        feed.write_bytes(FEED)
        file.write_bytes(content)
        with redirect_stdout(io.StringIO()) as report:
            check(feed, file)
    return iter(report.getvalue().splitlines())


def seconds(work: Callable[[bytes], Iterator[object]], content: bytes) -> float:
    """Of the processor: there is nothing to wait for, and what else the machine does is not the work's."""
    began = time.process_time()
    for _ in work(content):
        pass
    return time.process_time() - began


def run() -> Iterator[str]:
    """The figures, one line each."""
    content = b"".join(drop(ROWS))
    if list(ours(content)) != list(by_hand(content)):
        raise AssertionError("the hand-written loop makes other bodies: the comparison would not be fair")
    few = b"\r\n".join(content.split(b"\r\n", MODEL_ROWS + 1)[:-1]) + b"\r\n"
    if list(with_models(few)) != [operation["data"] for body in ours(few) for operation in _operations(body)]:
        raise AssertionError("scim2-models builds other users: the comparison would not be fair")
    # They take turns, so that a machine that slows down slows all of them down.
    took: dict[str, list[float]] = {"ours": [], "hand": [], "models": [], "check": []}
    for _ in range(RUNS):
        took["ours"].append(seconds(ours, content) / ROWS)
        took["hand"].append(seconds(by_hand, content) / ROWS)
        took["models"].append(seconds(with_models, few) / MODEL_ROWS)
        took["check"].append(seconds(checked, content) / ROWS)
    rate = {name: 1 / statistics.median(times) for name, times in took.items()}
    yield f"{ROWS:,} rows of 24 columns, 19 attributes, {len(content) / 1e6:.0f} MB, medians of {RUNS}"
    yield f"  connector: two passes, digests, warnings    {rate['ours']:9,.0f} rows/s"
    yield f"  csv + dict + orjson, written by hand        {rate['hand']:9,.0f} rows/s"
    yield f"  scim2-models, {MODEL_ROWS:,} rows                  {rate['models']:9,.0f} rows/s"
    yield f"  connector / by hand                         {rate['ours'] / rate['hand']:9.2f}   (goal: at least 0.40)"
    yield f"  check / connector, in time                  {rate['ours'] / rate['check']:9.2f}   (goal: at most 3)"
