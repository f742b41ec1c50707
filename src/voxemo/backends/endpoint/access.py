"""Where a served model answers, and the key to it. A key comes from the environment and goes nowhere but to the server.

No network: the command line checks an address before a run is planned.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from voxemo.core.errors import BackendError

ADDRESS_VARIABLE = "VOXEMO_ENDPOINT"
KEY_VARIABLE = "OPENAI_API_KEY"
SHORTEST_SECRET = 8
"""Shorter words are no secrets but placeholders, and hiding each ``x`` would make a message unreadable."""
PRIVATE_NAMES = ("local", "localhost", "internal", "intranet", "lan", "home", "corp", "private")
"""Last parts of host names that mean nothing outside their network."""
HIDDEN_HOST = "a host of this machine's own network"


def check_address(address: str) -> str:
    """Check a server's address, and drop a slash at its end.

    The message about an address that may hold a secret does not repeat it.

    Raises:
        BackendError: it is no http address, or holds a user name, a password or a query.

    >>> check_address("http://127.0.0.1:8000/v1/")
    'http://127.0.0.1:8000/v1'
    """
    try:
        parts = urlsplit(address)
        secret = parts.username is not None or bool(parts.query or parts.fragment)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        secret, usable = "@" in address or "?" in address, False
    if secret:
        raise BackendError(
            "The address of the server holds a user name, a password or a query. Give the address alone, such as "
            f"http://127.0.0.1:8000/v1; a key is read from the environment variable {KEY_VARIABLE}."
        )
    if not usable:
        raise BackendError(
            f"{address!r} is no address of a server. Expected is what comes before /chat/completions, such as "
            "http://127.0.0.1:8000/v1."
        )
    return address.rstrip("/")


def find_address(given: str | None, environment: Mapping[str, str]) -> str:
    """The address that was given, else the environment's. There is no default: audio goes only where it is sent.

    Raises:
        BackendError: there is none, or it cannot be used.
    """
    address = given or environment.get(ADDRESS_VARIABLE)
    if not address:
        raise BackendError(
            "The model of this card is asked over the network, and nothing says where. Give --base-url, or set "
            f"{ADDRESS_VARIABLE}, to the server's address, such as http://127.0.0.1:8000/v1."
        )
    return check_address(address)


def shown_host(address: str) -> str:
    """A server's host for a run folder: a public name or number as it is, one of a private network by no name.

    >>> shown_host("https://api.openai.com/v1"), shown_host("http://10.1.2.3:8000/v1") == HIDDEN_HOST
    ('api.openai.com', True)
    """
    host = (urlsplit(address).hostname or "").rstrip(".")
    try:
        public = ip_address(host).is_global
    except ValueError:
        public = "." in host and host.rpartition(".")[2] not in PRIVATE_NAMES
    return host if public else HIDDEN_HOST


def read_key(variable: str, environment: Mapping[str, str]) -> str | None:
    """The key in an environment variable; None where it is not set or empty, as for most servers of one's own.

    Raises:
        BackendError: it holds characters that no key has. The message does not repeat it.
    """
    key = environment.get(variable, "").strip()
    if not key:
        return None
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise BackendError(
            f"What stands in the environment variable {variable} is no key: it holds blanks, line breaks or letters "
            "that cannot be sent. Set it to the key alone, or unset it for a server that wants none."
        )
    return key


def without_key(text: str, key: str | None) -> str:
    """A server's words with the key taken out: some repeat it to who sent it.

    >>> without_key("Incorrect API key: sk-12345678.", "sk-12345678")
    'Incorrect API key: ***.'
    """
    return text.replace(key, "***") if key is not None and len(key) >= SHORTEST_SECRET else text
