"""One module per corpus, each with ``parse(tree)``; this one finds them by the corpus's id.

A parser turns file names and tables into ``ParsedUtterance`` in the provider's own codes. What the codes mean, what is
left out and how many there must be stands on the corpus's card.
"""

from importlib import import_module

from voxemo.catalog.lookup import Parser, builtin_names, corpus_names, corpus_plugin
from voxemo.core.errors import UnknownName


def parser_for(corpus_id: str) -> Parser:
    """The parser of a built-in corpus or of a plugin's, by the corpus's id.

    Raises:
        UnknownName: there is no such corpus.
        PluginError: a plugin brings the corpus and does not load.
    """
    if corpus_id in builtin_names("corpora"):
        parse: Parser = import_module(f"{__name__}.{corpus_id.replace('-', '_')}").parse
        return parse
    plugin = corpus_plugin(corpus_id)
    if plugin is None:
        raise UnknownName("corpus", corpus_id, corpus_names())
    return plugin[1]
