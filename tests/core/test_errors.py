"""Errors as they come back from another process."""

import pickle
from collections.abc import Iterator

import pytest

from voxemo.core import errors
from voxemo.core.errors import VoxEmoError

MADE: list[VoxEmoError] = [
    errors.UnknownName("corpus", "emodbb", ["emodb"]),
    errors.DuplicateName("model", "a", ["b", "c"]),
    errors.CardError("x.toml", ["no labels"]),
    errors.DisclosureError("x.toml", ["no TOML"]),
    errors.PluginError("voxemo.corpora", "toy", "it is a string"),
    errors.MissingDependency("This", package="ray", extra="ray"),
    errors.CorpusNotFound("emodb", "nowhere"),
    errors.WrongLayout("emodb", expected="wav/", found="nothing"),
    errors.ManifestError("t.csv", expected="a number", found="'x'", line=3),
    errors.UnmappedLabel(corpus_id="emodb", code="Q", known=["A"]),
    errors.CountMismatch(corpus_id="emodb", differences={"speakers": (10, 9)}, hint="Look."),
    errors.NoConnection("example.org", "no route", url="https://example.org/a", places=["a"]),
    errors.ChecksumMismatch("a.zip", expected="1", found="2", set_aside="b"),
    errors.UnsafeArchive("a.zip", "../b", "which leads out"),
    errors.NotPrepared("emodb"),
    errors.AudioError("a.wav", "0 bytes", kind="empty"),
    *(kind("what happened") for kind in (errors.SplitError, errors.AnswerFileError, errors.BackendError)),
    *(kind("what happened") for kind in (errors.RunError, errors.CorpusError, errors.DownloadError, VoxEmoError)),
    errors.TrainingError("what happened"),
    errors.BundleError("a.zip", "it is cut short"),
]


def kinds(of: type[VoxEmoError] = VoxEmoError) -> Iterator[type[VoxEmoError]]:
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_an_error_comes_back_from_another_process_as_it_was(error: VoxEmoError) -> None:
    back = pickle.loads(pickle.dumps(error))

    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_every_error_of_the_core_is_tried() -> None:
    assert {type(error) for error in MADE} == {kind for kind in kinds() if kind.__module__ == errors.__name__}
