"""The connection to a server, through the openai client: one request, and an answer or a failure."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from voxemo.backends.endpoint.access import without_key
from voxemo.backends.endpoint.failures import Failure, judge_status, read_retry_after
from voxemo.backends.endpoint.wire import (
    Completion,
    UnreadableAnswer,
    read_code,
    read_completion,
    read_message,
    read_models,
)
from voxemo.core.errors import MissingDependency

try:
    import openai
except ModuleNotFoundError as missing:
    raise MissingDependency("The endpoint backend", package=str(missing.name), extra="serve") from missing

CONNECT_S = 10.0
"""Longest time for a connection to stand; an answer may take much longer."""
MOST_SHOWN = 200
"""Characters of what a server says that are kept."""


class Server:
    """One OpenAI-compatible server.

    Args:
        address: what comes before ``/chat/completions``.
        key: sent as the bearer's token; None sends none.
        timeout_s: longest time for one answer, from the connection to its last byte.
    """

    def __init__(self, address: str, *, key: str | None, timeout_s: float) -> None:
        self._address, self._key, self._timeout_s = address, key, timeout_s
        # The client insists on a key; a server that wants none may refuse any.
        self._headers = {} if key is not None else {"Authorization": openai.Omit()}

    def client(self) -> Any:
        """A client for one event loop, to be used in ``async with``."""
        return openai.AsyncOpenAI(
            base_url=self._address,
            api_key=self._key or "none",
            # Its own retries are neither counted nor waited for as `Backoff` says.
            max_retries=0,
            timeout=openai.Timeout(self._timeout_s, connect=min(CONNECT_S, self._timeout_s)),
            # Recordings of people go to the address that was given, and to no other that it names.
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        )

    async def ask(
        self, client: Any, *, model: str, messages: list[dict[str, Any]], fields: Mapping[str, Any]
    ) -> Completion | Failure:
        """Send one question once."""
        started = time.perf_counter()
        try:
            # The client's own limit is between two bytes; a server that trickles would hold a question for ever.
            async with asyncio.timeout(self._timeout_s):
                reply = await client.chat.completions.with_raw_response.create(
                    model=model, messages=messages, extra_body=dict(fields), extra_headers=self._headers
                )
            return replace(read_completion(reply.http_response.content), latency_s=time.perf_counter() - started)
        except UnreadableAnswer as cause:
            return Failure(kind="transient", reason=self._said(f"an unreadable answer: {cause}"))
        except (TimeoutError, openai.APIConnectionError, openai.APIStatusError) as cause:
            return self._failure(cause)

    async def models(self, client: Any) -> dict[str, str | None] | Failure:
        """What the server lists, model to owner; nothing where it answers but lists nothing."""
        try:
            async with asyncio.timeout(min(CONNECT_S, self._timeout_s)):
                reply = await client.models.with_raw_response.list(extra_headers=self._headers)
            return read_models(reply.http_response.content)
        except openai.APIStatusError:
            # A key may be allowed to ask and not to list.
            return {}
        except (TimeoutError, openai.APIConnectionError) as cause:
            return self._failure(cause)

    def _failure(self, cause: Exception) -> Failure:
        if isinstance(cause, openai.APIStatusError):
            reply = cause.response
            return judge_status(
                cause.status_code,
                message=self._said(read_message(reply.content)),
                code=read_code(reply.content),
                retry_after_s=read_retry_after(reply.headers, datetime.now(UTC)),
            )
        if isinstance(cause, TimeoutError | openai.APITimeoutError):
            return Failure(kind="transient", reason="no answer in time")
        # The client says "Connection error."; what lies below says which.
        below = str(cause.__cause__ or cause).strip() or type(cause.__cause__).__name__
        return Failure(kind="transient", reason=self._said(f"the connection failed: {below}"))

    def _said(self, text: str) -> str:
        # Hidden before it is cut: half a key is a secret too.
        return without_key(text, self._key)[:MOST_SHOWN]
