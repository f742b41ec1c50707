"""The documents as JSON Schema, for people who write cards and disclosures with other tools."""

from typing import Any

from voxemo.core.cards import (
    BundleIndex,
    CorpusCard,
    Document,
    LabelTable,
    ModelCard,
    PromptTemplate,
    PromptVariant,
    RunManifest,
)
from voxemo.core.disclosure import Disclosure

SCHEMAS: dict[str, tuple[type[Document], str]] = {
    "corpus": (CorpusCard, "1"),
    "model": (ModelCard, "1"),
    "template": (PromptTemplate, "1"),
    "prompt": (PromptVariant, "1"),
    "labels": (LabelTable, "1"),
    "manifest": (RunManifest, "1"),
    "bundle": (BundleIndex, "1"),
    "disclosure": (Disclosure, "1"),
}
"""Names that ``voxemo show schema`` knows, to the document and the version of its schema, which a change of meaning
raises."""


def json_schema(name: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a document, with its versioned id.

    Raises:
        KeyError: no schema of that name; see ``SCHEMAS``.
    """
    document, version = SCHEMAS[name]
    schema = document.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:voxemo:schema:{name}:{version}",
        **schema,
    }
