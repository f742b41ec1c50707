"""Label sets for tests, with the words of the shared label table."""

from voxemo.catalog.lookup import label_table
from voxemo.core.labels import LabelSet


def label_set_of(*names: str) -> LabelSet:
    """The label set of these names, in this order."""
    entries = {name: label_table().labels[name] for name in names}
    return LabelSet(
        names,
        aliases={word: name for name, entry in entries.items() for word in entry.aliases},
        translations={
            word: name for name, entry in entries.items() for words in entry.translations.values() for word in words
        },
    )


IEMOCAP = ("angry", "happy", "neutral", "sad")
CREMA_D = ("angry", "disgust", "fear", "happy", "neutral", "sad")
EVERY_LABEL = tuple(label_table().labels)
