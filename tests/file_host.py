"""A small web host on this machine that serves files, cuts connections and misbehaves as asked."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import unquote


@dataclass
class Served:
    """One file and how it is served."""

    content: bytes
    etag: str = ""
    ranges: bool = True
    """Whether range requests are answered with a part."""
    shift: int = 0
    """Bytes by which the answered range starts elsewhere than asked: a broken host."""
    length: bool = True
    """Whether Content-Length is sent."""
    statuses: list[int] = field(default_factory=list)
    """Answers of the first requests, before the file is served."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every answer."""
    cuts: list[int] = field(default_factory=list)
    """For the first requests, bytes after which the connection is cut."""


@dataclass
class FileHost:
    """The running host."""

    port: int
    files: dict[str, Served] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers of every request so far."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"

    def serve(self, path: str, content: bytes, **how: object) -> str:
        """Serve a file; returns its address."""
        self.files[f"/{path}"] = Served(content, **how)  # type: ignore[arg-type]
        return self.url(path)

    def ranges_asked(self) -> list[str | None]:
        return [headers.get("range") for _, headers in self.requests]


class _Handler(BaseHTTPRequestHandler):
    host: ClassVar[FileHost]

    def do_GET(self) -> None:
        self.host.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        served = self.host.files.get(unquote(self.path.partition("?")[0]))
        if served is None or served.statuses:
            self._answer(
                404 if served is None else served.statuses.pop(0), b"", {} if served is None else served.headers
            )
            return
        start = self._range_start(served)
        body, headers = served.content, {"ETag": served.etag} if served.etag else {}
        if start is not None:
            size = len(served.content)
            if start >= size:
                self._answer(416, b"", {"Content-Range": f"bytes */{size}"})
                return
            start = max(start + served.shift, 0)
            body = served.content[start:]
            headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        cut = served.cuts.pop(0) if served.cuts else None
        self._answer(200 if start is None else 206, body, {**headers, **served.headers}, served.length, cut)

    def _range_start(self, served: Served) -> int | None:
        asked = self.headers.get("Range")
        if asked is None or not served.ranges or self.headers.get("If-Range", served.etag) != served.etag:
            return None
        return int(asked.removeprefix("bytes=").partition("-")[0])

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str], length: bool = True, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        self.wfile.flush()
        if cut is not None:
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def file_host() -> Iterator[FileHost]:
    """A host on a free port of this machine, until the end of the block."""

    class Handler(_Handler):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.host = FileHost(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield Handler.host
        finally:
            server.shutdown()
            thread.join()


def free_port() -> int:
    """A port of this machine where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])
