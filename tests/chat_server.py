"""A chat server on this machine that answers, misbehaves and remembers, over real HTTP; and a clock that tests turn."""

import asyncio
import base64
import io
import json
import socket
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import numpy as np

from voxemo.backends.endpoint.failures import Backoff

MODEL = "toy/listener"


@dataclass(frozen=True)
class Asked:
    """One request as the server got it."""

    number: int
    """Counts from 0 in the order of arrival."""
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def content(self) -> list[dict[str, Any]]:
        (turn,) = self.body["messages"]
        return list(turn["content"])

    @property
    def prompt(self) -> str:
        (text,) = [part["text"] for part in self.content if part["type"] == "text"]
        return str(text)

    @property
    def samples(self) -> np.ndarray:
        """What the audio decodes to, in steps of 1/32768."""
        (audio,) = [part["input_audio"] for part in self.content if part["type"] == "input_audio"]
        assert audio["format"] == "wav"
        with wave.open(io.BytesIO(base64.b64decode(audio["data"], validate=True))) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            return np.frombuffer(file.readframes(file.getnframes()), "<i2")


@dataclass(frozen=True)
class Reply:
    """What the server sends."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Bytes of the body after which the connection is dropped; -1 drops it without a word."""
    n_blanks: int = 0
    """Blanks that come before the body, one every twentieth of a second."""


def said(text: str | None = "FINAL LABEL: Angry", *, finish: str | None = "stop", **changes: Any) -> Reply:
    """An answer as servers give it, with any field of the body replaced."""
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
    }
    return Reply(json.dumps(body | changes).encode())


def refused(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    """An error as servers give it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps({"error": {"message": message, "code": code}}).encode(), status, named)


@dataclass
class ChatServer:
    """The running server."""

    port: int
    answer: Callable[[Asked], Reply] = lambda asked: said()
    """Called in a thread of its own for every request; may wait."""
    models: Reply = field(default_factory=lambda: listed(MODEL))
    asked: list[Asked] = field(default_factory=list)
    delivered: list[Asked] = field(default_factory=list)
    """Requests that got a whole answer."""
    n_at_once: int = 0
    most_at_once: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


def listed(*names: str, owner: str = "somebody") -> Reply:
    """A list of models."""
    return Reply(json.dumps({"data": [{"id": name, "owned_by": owner} for name in names]}).encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    chat: ClassVar[ChatServer]

    def do_GET(self) -> None:
        self._send(self.chat.models if self.path == "/v1/models" else refused(404, "no such path"))

    def do_POST(self) -> None:
        chat, body = self.chat, self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/v1/chat/completions":
            self._send(refused(404, "no such path"))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        with chat.lock:
            asked = Asked(len(chat.asked), json.loads(body), headers)
            chat.asked.append(asked)
            chat.n_at_once += 1
            chat.most_at_once = max(chat.most_at_once, chat.n_at_once)
        try:
            reply = chat.answer(asked)
        finally:
            # Before the reply leaves: the client may ask the next question as soon as it has it.
            with chat.lock:
                chat.n_at_once -= 1
        if reply.status == 200 and reply.cut is None:
            chat.delivered.append(asked)
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        if reply.cut != -1:
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(reply.n_blanks + len(reply.body)))
            self.end_headers()
            for _ in range(reply.n_blanks):
                self.wfile.write(b" ")
                self.wfile.flush()
                self.chat.closing.wait(0.05)
            self.wfile.write(reply.body[: reply.cut])
            self.wfile.flush()
        if reply.cut is not None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that no longer waits is what some tests are about."""


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """A server on a free port of this machine, until the end of the block."""

    class Handler(_Handler):
        pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        Handler.chat = ChatServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield Handler.chat
        finally:
            Handler.chat.closing.set()
            server.shutdown()
            thread.join()


class TurnedClock:
    """Time that passes only by waiting, at once."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waits: list[float] = []
        self.waited = threading.Event()
        """Set once anything has waited."""

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now_s += seconds
        self.waited.set()
        await asyncio.sleep(0)

    def backoff(self, **changes: Any) -> Backoff:
        """A back-off by this clock, without any spread."""
        fields = {"sleep": self.sleep, "clock": lambda: self.now_s, "draw": lambda: 0.5}
        return Backoff(**(fields | changes))
