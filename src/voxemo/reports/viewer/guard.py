"""Who may read the listening page: the user who started it, in a browser on this machine, and nobody else.

Audio of licensed corpora goes over this connection. The address holds a random token, since any user of the machine can
reach a port of it. The ``Host`` header is checked, since any web page could have its own name point to this machine and
read what comes back as its own. No header lets other pages read answers, and a strict policy keeps the page itself from
loading or running anything but its own files.
"""

import secrets
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""Of every answer, refusals too."""
_ALLOWED = ("GET", "HEAD")


def new_token() -> str:
    """A word that cannot be guessed, of letters that an address may hold."""
    return secrets.token_urlsafe(24)


def own_hosts(port: int) -> tuple[str, ...]:
    """What the ``Host`` header says in a request to this machine by its own names."""
    return (f"127.0.0.1:{port}", f"localhost:{port}")


def guarded(app: Application, *, token: str, hosts: Collection[str]) -> Application:
    """Let requests through to an application that name one of the hosts and begin with ``/<token>/``.

    The application sees the path behind the token. Every other request is refused without saying anything.
    """
    secret = token.encode()

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        given = [value for name, value in scope["headers"] if name == b"host"]
        first, slash, rest = scope["path"].removeprefix("/").partition("/")

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        if len(given) != 1 or given[0].decode("latin-1").lower() not in hosts:
            await _refuse(send_marked, 403)
        elif not slash or not secrets.compare_digest(first.encode(), secret):
            await _refuse(send_marked, 404)
        elif scope["method"] not in _ALLOWED:
            await _refuse(send_marked, 405)
        else:
            path = "/" + rest
            await app({**scope, "path": path, "raw_path": path.encode(), "root_path": ""}, receive, send_marked)

    return guard


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
