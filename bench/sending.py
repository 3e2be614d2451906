"""Sending: total time against the limit's own minimum, the sending side's CPU, and what spooling adds.

The limit is scaled down with the same shape: 20 calls in any 2.5 s are the same 8 calls/s as Entra's 40 in 5 s.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import orjson
from azure.storage.blob import BlobServiceClient

from connector.outside.settings import Settings
from connector.sandbox.faults import Endpoint
from connector.sandbox.servers import Azurite, Sandbox
from connector.sandbox.settings import SandboxSettings
from connector.vocabulary.bulk_request import bulk_body, operation
from connector.vocabulary.limits import Limit
from connector.wiring import connected, developer_identity

REQUESTS = 320
LIMIT = Limit(20, 2.5)
LATENCY = 0.3
COLUMNS = [f"Column{n:02d}" for n in range(1, 21)]
FEED = """
endpoint: {endpoint}
mapping:
  externalId: "[Id]"
  userName: Join("@", "user", [Id], "contoso.com")
  active: true
""" + "".join(f'  urn:ietf:params:scim:schemas:extension:bench:1.0:User:{column}: "[{column}]"\n' for column in COLUMNS)


def drop(people: int) -> bytes:
    """About 1.2 kB a person once it is SCIM, so that a request has 60 kB."""
    lines = [",".join(["Id", *COLUMNS])]
    lines += [",".join([str(100000 + n), *(f"value {n} of {c} in full" for c in COLUMNS)]) for n in range(people)]
    return "\n".join(lines).encode()


async def sender() -> None:
    """In a process of its own: plans and spools what is in the inbox, then sends it; prints seconds of wall and CPU."""
    async with connected(Settings.of(), credential=developer_identity) as pipeline:
        started, used = time.perf_counter(), time.process_time()
        await asyncio.to_thread(lambda: list(pipeline._sweep.plan_what_landed()))
        planned, used_planning = time.perf_counter() - started, time.process_time() - used
        started, used = time.perf_counter(), time.process_time()
        await pipeline._uplink.drain()
        sent, used_sending = time.perf_counter() - started, time.process_time() - used
    print(orjson.dumps([planned, used_planning, sent, used_sending]).decode())


async def one_at_a_time(sandbox: Sandbox, requests: int) -> float:
    """As peers do it: seconds for `requests` bulk requests, each after the answer to the one before."""
    environment = sandbox.identity_environment()
    async with httpx.AsyncClient() as http:
        answer = await http.get(
            environment["IDENTITY_ENDPOINT"],
            params={"api-version": "2019-08-01", "resource": sandbox.base_url},
            headers={"X-IDENTITY-HEADER": environment["IDENTITY_HEADER"]},
        )
        headers = {
            "Authorization": f"Bearer {answer.json()['access_token']}",
            "Content-Type": "application/scim+json",
        }
        user = (
            b'{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User",'
            b'"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],"externalId":"1","userName":"a@contoso.com"}'
        )
        body = bulk_body([operation("1", user)])
        began = time.perf_counter()
        for _ in range(requests):
            (await http.post(sandbox.endpoint, content=body, headers=headers)).raise_for_status()
        return time.perf_counter() - began


def run() -> Iterator[str]:
    """The figures, one line each."""
    minimum = (REQUESTS - LIMIT.calls) * LIMIT.seconds / LIMIT.calls
    settings = SandboxSettings(
        send_limit=LIMIT, latency=LATENCY, custom_attributes=None, cycle_delay=3600.0, quota=Limit(100_000, 86400.0)
    )
    with Azurite() as azurite, Sandbox(settings) as sandbox:
        service = BlobServiceClient.from_connection_string(azurite.connection_string)
        for container in ("inbox", "config"):
            service.create_container(container)
        service.get_blob_client("config", "feeds/bench.yaml").upload_blob(FEED.format(endpoint=sandbox.endpoint))
        environment = {
            **os.environ,
            **sandbox.identity_environment(),
            "HR_STORAGE": azurite.connection_string,
            "SEND_LIMIT": f"{LIMIT.calls}/{LIMIT.seconds}s",
            "SEND_QUOTA": "100000/24h",
        }
        service.get_blob_client("inbox", "bench/drop.csv").upload_blob(drop(REQUESTS * 50))
        ran = subprocess.run(
            [sys.executable, "-m", "bench.sending"], env=environment, check=True, stdout=subprocess.PIPE
        )
        planned, _, _, used = orjson.loads(ran.stdout)
        uploads = sandbox.report.of(Endpoint.UPLOAD)
        took = max(seen.at for seen in uploads) - min(seen.at for seen in uploads)
        refused = sum(seen.status == 429 for seen in uploads)
        # The peer begins with a window of its own.
        time.sleep(LIMIT.seconds)
        peer = asyncio.run(one_at_a_time(sandbox, 20)) / 20 * REQUESTS
    yield f"{REQUESTS} requests of 50 people, {LATENCY:.1f} s latency, {LIMIT.calls} calls in any {LIMIT.seconds} s"
    yield f"  total time / the limit's minimum ({minimum:.1f} s)  {took / minimum:7.3f}   (goal: at most 1.03)"
    yield f"  one request at a time / the minimum         {peer / minimum:7.3f}   (as peers do it)"
    yield f"  429s                                        {refused:7d}   (goal: 0)"
    yield f"  CPU of the sending side / one core          {used / took:7.1%}   (goal: below 10%)"
    yield f"  planning and spooling / total time          {planned / (planned + took):7.1%}   (goal: below 5%)"


if __name__ == "__main__":
    asyncio.run(sender())
