"""Ids and content hashes. The same content gives the same bytes and so the same id, on any machine."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any


def canonical_json(value: Any) -> str:
    """Write a JSON value in its one canonical form: sorted keys, no blanks, no NaN.

    >>> canonical_json({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_text(text: str) -> str:
    """SHA-256 of the text in UTF-8, as 64 hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_json(value: Any) -> str:
    """SHA-256 of a JSON value in canonical form, as 64 hex digits."""
    return sha256_text(canonical_json(value))


def sha256_lines(lines: Iterable[str]) -> str:
    """SHA-256 of many lines in the given order, without holding them in one string."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()


def utterance_id(corpus_id: str, stem: str) -> str:
    """Name an utterance in the whole benchmark.

    >>> utterance_id("urdu", "SM1_F10_A010")
    'urdu/SM1_F10_A010'
    """
    return f"{corpus_id}/{stem}"


def run_id(*, corpus_id: str, model_id: str, protocol: str, plan_sha256: str) -> str:
    """Name a run: corpus, model, protocol and the first eight hex digits of the plan's hash."""
    return f"{corpus_id}.{model_id}.{protocol}.{plan_sha256[:8]}"
