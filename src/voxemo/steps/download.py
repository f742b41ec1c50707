"""Card to corpus folder, for corpora that are openly downloadable."""

from pathlib import Path

from voxemo.core.cards import CorpusCard
from voxemo.core.errors import DownloadError
from voxemo.corpora import download as corpus_download
from voxemo.corpora.download import Downloaded, Watch


def download_corpus(card: CorpusCard, folder: Path, *, watch: Watch) -> Downloaded:
    """Fetch, check and unpack a corpus. The licence has been accepted by whoever calls this.

    Args:
        card: the corpus.
        folder: where it goes; made if it is missing.
        watch: opens a progress display, by title and unit.

    Raises:
        DownloadError: the card names nothing to download, or a file cannot be fetched or unpacked.
    """
    if not card.access.downloads:
        raise DownloadError(
            f"{card.corpus_id} cannot be downloaded by a program. {card.access.how} Homepage: {card.access.homepage}"
        )
    return corpus_download.download(card, folder, watch=watch)
