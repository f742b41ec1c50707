"""One module per corpus, each with ``parse(tree)``; this one finds them by the corpus's id.

A parser turns file names and tables into ``ParsedUtterance`` in the provider's own codes. What the codes mean, what is
left out and how many there must be stands on the corpus's card.
"""

from importlib import import_module
from pkgutil import iter_modules

from voxemo.catalog.lookup import Parser, builtin_names, corpus_names, corpus_plugin
from voxemo.core.errors import CorpusError, UnknownName, listing


def _module_name(corpus_id: str) -> str:
    return corpus_id.replace("-", "_")


def _has_module(corpus_id: str) -> bool:
    return any(module.name == _module_name(corpus_id) for module in iter_modules(__path__))


def ready_corpora() -> tuple[str, ...]:
    """Corpora that can be prepared, sorted: the built-in ones whose parser is written, and those of plugins."""
    builtin = builtin_names("corpora")
    return tuple(name for name in corpus_names() if name not in builtin or _has_module(name))


def parser_for(corpus_id: str) -> Parser:
    """The parser of a corpus, by the corpus's id.

    Raises:
        UnknownName: there is no such corpus.
        CorpusError: its card is there, but its parser is not written yet.
        PluginError: a plugin brings the corpus and does not load.
    """
    if corpus_id not in corpus_names():
        raise UnknownName("corpus", corpus_id, corpus_names())
    if corpus_id not in builtin_names("corpora"):
        plugin = corpus_plugin(corpus_id)
        assert plugin is not None  # corpus_names() has it, and it is not built in
        return plugin[1]
    if not _has_module(corpus_id):
        ready = ready_corpora()
        raise CorpusError(
            f"{corpus_id} has a card, but its parser is not written yet. Ready are {listing(ready, most=len(ready))}."
        )
    parse: Parser = import_module(f"{__name__}.{_module_name(corpus_id)}").parse
    return parse
