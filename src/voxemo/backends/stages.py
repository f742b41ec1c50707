"""Where a backend's time goes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SERVED = "waiting for the server"
"""The stage of a model that answers elsewhere, whose device nobody here sees."""


class StageTimes:
    """Seconds spent in each stage of answering.

    Args:
        wait: returns when the device has done what it was asked to; nothing where work is done before it is told.

    >>> times = StageTimes()
    >>> times.add("answering", 0.5)
    >>> with times.of("hearing"):
    ...     pass
    >>> list(times.seconds), times.seconds["answering"]
    (['answering', 'hearing'], 0.5)
    """

    def __init__(self, wait: Callable[[], None] = lambda: None) -> None:
        self._wait = wait
        self._seconds: dict[str, float] = {}

    @property
    def seconds(self) -> dict[str, float]:
        """Stage to the seconds spent in it so far, in the order in which stages were met first."""
        return dict(self._seconds)

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Count the time until the end as spent in a stage, also where that is an error."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._wait()
            self.add(stage, time.perf_counter() - started)

    def add(self, stage: str, seconds: float) -> None:
        """Count seconds that were measured elsewhere."""
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds
