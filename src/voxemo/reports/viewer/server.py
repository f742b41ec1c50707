"""Serving the listening page on the loopback interface, until Ctrl-C."""

import html
import os
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxemo.core.errors import RunError
from voxemo.reports.viewer.guard import Application

LOOPBACK = "127.0.0.1"


def listen(port: int) -> socket.socket:
    """A socket on the loopback interface and no other. Who asks before the page is served waits in its queue.

    Args:
        port: to listen on; 0 for any that is free.

    Raises:
        RunError: the port is taken or may not be used.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOOPBACK, port))
        listening.listen()
    except OSError as cause:
        listening.close()
        raise RunError(
            f"Port {port} of this machine cannot be used ({cause.strerror}). Give another with --port, or leave it out."
        ) from cause
    return listening


def serve(app: Application, listening: socket.socket) -> None:
    """Serve until the process is told to stop.

    Raises:
        KeyboardInterrupt: it was, by Ctrl-C.
    """
    import uvicorn

    settings = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_level="error",
        access_log=False,
        server_header=False,
        # A player may keep a connection open for as long as it lives.
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(settings).run(sockets=[listening])


@contextmanager
def shown_in_browser(address: str) -> Iterator[bool]:
    """Open an address in the user's browser, where there is one with windows; tells whether there is.

    The browser is given a file that leads to the address: what a program is started with, every user of the machine
    can read, and the address holds the token.
    """
    if not _has_windows():
        yield False
        return
    with tempfile.TemporaryDirectory(prefix="voxemo-view-") as folder:
        # The folder is its owner's alone.
        leading = Path(folder) / "open.html"
        leading.write_text(
            f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={html.escape(address)}">'
            f'<title>voxemo view</title><a href="{html.escape(address)}">open the listening page</a>\n',
            encoding="utf-8",
        )
        yield webbrowser.open(leading.as_uri())


def _has_windows() -> bool:
    # Without a display, Python would start a browser in the terminal, in front of everything printed there.
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
