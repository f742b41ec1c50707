"""The few things that were asked for last, made once each."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock, RLock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Values by key, the last used few kept in memory. Threads that want the same one wait for the one that makes it.

    Args:
        make: key to value; what it raises is raised to every one who asks, and tried again.
        most: values that are kept.
    """

    def __init__(self, make: Callable[[K], V], *, most: int) -> None:
        self._make, self._most = make, most
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = Lock()
        self._making: dict[K, RLock] = {}

    def get(self, key: K) -> V:
        """The value of a key."""
        with self._lock:
            making = self._making.setdefault(key, RLock())
        with making:
            with self._lock:
                if key in self._values:
                    self._values.move_to_end(key)
                    return self._values[key]
            try:
                value = self._make(key)
            finally:
                with self._lock:
                    self._making.pop(key, None)
            with self._lock:
                self._values[key] = value
                while len(self._values) > self._most:
                    self._values.popitem(last=False)
            return value
