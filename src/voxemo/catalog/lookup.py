"""Name or path to card: the built-in files first, then entry points, then a file path.

The cards that a workspace keeps of prepared corpora come last, where a caller gives them.

Built-in cards and plugins share one space of names: two origins for one name is an error that names both. A name with
a path separator or the ending of a card file is read as a path.
"""

import csv
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from voxemo.core.cards import CorpusCard, Document, LabelTable, ModelCard, PromptTemplate, PromptVariant
from voxemo.core.errors import CardError, DuplicateName, PluginError, UnknownName
from voxemo.core.types import ParsedUtterance

CORPORA_GROUP = "voxemo.corpora"
BACKENDS_GROUP = "voxemo.backends"
METRICS_GROUP = "voxemo.metrics"

CATALOG = Path(str(files("voxemo.catalog")))
CARD_ENDINGS = (".toml", ".json")

Parser = Callable[[Any], Iterator[ParsedUtterance]]
AnyDocument = TypeVar("AnyDocument", bound=Document)


def read_document(path: Path, document: type[AnyDocument]) -> AnyDocument:
    """Read a TOML or JSON file as a document.

    Raises:
        CardError: the file is no TOML or JSON, or does not fit the schema.
    """
    kind = "JSON" if path.suffix == ".json" else "TOML"
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if kind == "JSON" else tomllib.loads(text)
    except FileNotFoundError as cause:
        raise CardError(str(path), ["there is no such file"], hint="Check the path.") from cause
    except OSError as cause:
        raise CardError(str(path), [f"it cannot be read ({cause.strerror or cause})"], hint="") from cause
    except ValueError as cause:
        # The parsers' messages give line and column.
        raise CardError(str(path), [f"it is no {kind}: {cause}"], hint="Mend it there.") from cause
    return _validate(content, document, str(path))


def _validate(content: object, document: type[AnyDocument], place: str) -> AnyDocument:
    try:
        return document.model_validate(content)
    except ValidationError as cause:
        problems = [f"{'.'.join(map(str, error['loc'])) or 'card'}: {error['msg']}" for error in cause.errors()]
        raise CardError(place, problems) from cause


def is_path(name: str) -> bool:
    """Whether a name means a card's file: it has a path separator or the ending of one."""
    return "/" in name or "\\" in name or name.endswith(CARD_ENDINGS)


def builtin_names(kind: str) -> tuple[str, ...]:
    """Names of the card files in ``catalog/<kind>``, sorted; a leading underscore marks a file that is no card."""
    return tuple(sorted(path.stem for path in (CATALOG / kind).glob("*.toml") if not path.stem.startswith("_")))


# --- plugins -----------------------------------------------------------------------------------------------------


def plugins(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name.

    Raises:
        DuplicateName: two installed packages bring the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        if point.name in found and found[point.name].value != point.value:
            origins = [f"{other.value} ({_package(other)})" for other in (found[point.name], point)]
            raise DuplicateName(group.removeprefix("voxemo."), point.name, origins)
        found[point.name] = point
    return found


def load_plugin(group: str, name: str) -> Any:
    """Import the object that a plugin's entry point names.

    Raises:
        PluginError: the import fails; the cause is chained.
    """
    point = plugins(group)[name]
    try:
        return point.load()
    except Exception as cause:
        raise PluginError(group, name, f"importing {point.value} failed with {cause!r}") from cause


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "unknown package"


def _refuse_double(kind: str, name: str, builtin: tuple[str, ...], group: str) -> None:
    point = plugins(group).get(name)
    if point is not None and name in builtin:
        raise DuplicateName(kind, name, ["voxemo itself", f"{point.value} ({_package(point)})"])


# --- corpora -----------------------------------------------------------------------------------------------------


def corpus_names() -> tuple[str, ...]:
    """Every corpus that a name can mean: built-in and from plugins, sorted."""
    return tuple(sorted({*builtin_names("corpora"), *plugins(CORPORA_GROUP)}))


def corpus_plugin(name: str) -> tuple[CorpusCard, Parser] | None:
    """Card and parser of a corpus that a plugin brings; None when no plugin has that name.

    Raises:
        PluginError: the entry point's object is no (CorpusCard, parse), nor the two with the folder that is shipped.
    """
    if name not in plugins(CORPORA_GROUP):
        return None
    loaded = load_plugin(CORPORA_GROUP, name)
    if not (isinstance(loaded, tuple) and len(loaded) in (2, 3) and isinstance(loaded[0], CorpusCard)):
        raise PluginError(CORPORA_GROUP, name, "expected (CorpusCard, parse), or these two and the corpus's folder")
    card, parse = loaded[:2]
    if card.corpus_id != name:
        raise PluginError(CORPORA_GROUP, name, f"its card calls itself {card.corpus_id!r}")
    return card, parse


def shipped_folder(name: str) -> Path | None:
    """The folder of a corpus that is installed with its plugin; None for any other corpus.

    Raises:
        PluginError: as ``corpus_plugin`` does.
    """
    if corpus_plugin(name) is None:
        return None
    folder: Path | None = next(iter(load_plugin(CORPORA_GROUP, name)[2:]), None)
    return folder


def corpus_card(name: str, *, prepared: Mapping[str, Path] = MappingProxyType({})) -> CorpusCard:
    """The card of a corpus, by name or path.

    Args:
        name: a path is read as a file; a name means a built-in card, else a plugin's, else one of ``prepared``.
        prepared: corpus to the card that a workspace keeps of it.

    Raises:
        UnknownName: no card, plugin or file answers to the name.
        DuplicateName: a plugin claims a built-in name.
        CardError: the card does not fit the schema.
    """
    if is_path(name):
        return read_document(Path(name), CorpusCard)
    builtin = builtin_names("corpora")
    _refuse_double("corpus", name, builtin, CORPORA_GROUP)
    if name in builtin:
        return _builtin_corpus_card(name)
    plugin = corpus_plugin(name)
    if plugin is not None:
        return plugin[0]
    if name in prepared:
        return read_document(prepared[name], CorpusCard)
    raise UnknownName("corpus", name, sorted({*corpus_names(), *prepared}))


@cache
def _builtin_corpus_card(name: str) -> CorpusCard:
    return read_document(CATALOG / "corpora" / f"{name}.toml", CorpusCard)


def builtin_corpus_cards() -> tuple[CorpusCard, ...]:
    """The cards of the benchmark's own corpora, by id."""
    return tuple(_builtin_corpus_card(name) for name in builtin_names("corpora"))


@cache
def label_table() -> LabelTable:
    """The shared label table: every name that a card may use, with the words that mean it."""
    return read_document(CATALOG / "labels.toml", LabelTable)


# --- models ------------------------------------------------------------------------------------------------------

IN_PACKAGE = "package:"


def checkpoint_folder(repository: str | None) -> Path | None:
    """The folder that a model card's ``repository`` names on this machine; None for a hub id and for no repository.

    A card of a model that is installed with a package names its folder there: ``package:voxemo.demo.tiny/checkpoint``.

    Raises:
        CardError: the package is not installed, or has no such folder.
    """
    if repository is None:
        return None
    if repository.startswith(IN_PACKAGE):
        package, _, name = repository.removeprefix(IN_PACKAGE).partition("/")
        try:
            folder = Path(str(files(package))) / name
        except ModuleNotFoundError as cause:
            raise CardError(repository, [f"the package {package!r} is not installed"], hint="Install it.") from cause
        if not folder.is_dir():
            raise CardError(repository, [f"{package} has no folder {name!r}"], hint="Install the package again.")
        return folder
    return Path(repository) if Path(repository).is_dir() else None


def model_names() -> tuple[str, ...]:
    """Every built-in model card, sorted."""
    return builtin_names("models")


@cache
def _builtin_model_card(name: str) -> ModelCard:
    return read_document(CATALOG / "models" / f"{name}.toml", ModelCard)


def model_card(name: str) -> ModelCard:
    """The card of a model, by name or path to a TOML or JSON file.

    Raises:
        UnknownName: no card or file answers to the name.
        CardError: the card does not fit the schema.
    """
    if is_path(name):
        return read_document(Path(name), ModelCard)
    if name not in model_names():
        raise UnknownName("model", name, model_names())
    return _builtin_model_card(name)


# --- prompts -----------------------------------------------------------------------------------------------------


def prompt_names() -> tuple[str, ...]:
    """The built-in prompt variants in the paper's order, from the simplest to the longest."""
    variants = [read_document(CATALOG / "prompts" / f"{n}.toml", PromptVariant) for n in builtin_names("prompts")]
    order = ("direct", "transcript", "caption", "reasoning")
    return tuple(
        v.variant_id for v in sorted(variants, key=lambda v: (len(v.blocks), [order.index(b) for b in v.blocks]))
    )


def prompt(name: str) -> tuple[PromptVariant, PromptTemplate]:
    """A prompt variant and the template it is composed from, by name or path.

    A variant file names its template by id (built-in) or by a path relative to itself.

    Raises:
        UnknownName: no prompt or file answers to the name.
        CardError: a file does not fit its schema.
    """
    if is_path(name):
        path = Path(name)
    elif name in builtin_names("prompts"):
        path = CATALOG / "prompts" / f"{name}.toml"
    else:
        raise UnknownName("prompt", name, prompt_names())
    variant = read_document(path, PromptVariant)
    if is_path(variant.template):
        template_path = path.parent / variant.template
    else:
        template_path = CATALOG / "prompts" / f"_{variant.template}.toml"
        if not template_path.is_file():
            raise CardError(str(path), [f"template: there is no built-in template {variant.template!r}"])
    template = read_document(template_path, PromptTemplate)
    missing = sorted(set(variant.blocks) - set(template.blocks))
    if missing:
        raise CardError(str(path), [f"blocks: the template {template.template_id!r} has no text for {missing}"])
    return variant, template


# --- published figures -------------------------------------------------------------------------------------------


@cache
def published() -> tuple[dict[str, str], ...]:
    """Every published figure as a row of text; ``published/README.md`` says what the columns and their units are."""
    rows: list[dict[str, str]] = []
    for path in sorted((CATALOG / "published").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows.extend(csv.DictReader(file))
    return tuple(rows)
