"""A storage account that remembers: a proxy in front of Azurite which keeps every blob that is written, in order."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(slots=True)
class Witness:
    """`written` are (blob's path with its container, content) of every whole blob that was put, in order."""

    url: str = ""
    written: list[tuple[str, bytes]] = field(default_factory=list)


@contextmanager
def witness(blob_service: str) -> Iterator[Witness]:
    """`blob_service` is Azurite's; `Witness.url` is the same, by way of the proxy."""
    target = urlsplit(blob_service)
    seen = Witness()
    # A blob's path follows the account's name.
    account = f"{target.path}/"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def log_message(self, *_: object) -> None:
            """Quiet."""

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            upstream = http.client.HTTPConnection(target.hostname or "", target.port)
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            data = answer.read()
            upstream.close()
            path, _, query = self.path.partition("?")
            if self.command == "PUT" and not query and answer.status == 201:
                seen.written.append((path.removeprefix(account), body))
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in {"transfer-encoding", "content-length", "connection", "keep-alive"}:
                    self.send_header(name, value)
            # To HEAD, the length is the blob's.
            length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(data))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = _pass_on

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        seen.url = target._replace(netloc=f"127.0.0.1:{server.server_port}").geturl()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            server.shutdown()
            thread.join()
