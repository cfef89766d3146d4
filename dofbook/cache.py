"""Results that several cells share: kept while they fit a budget of memory."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import RLock
from typing import Any


class Cache:
    """Keep the results asked for most recently, up to ``budget`` bytes; a larger one alone.

    A result is found again by its key and by the identity of what it was computed from; results
    of other sources are dropped, because a data set that is no longer used should be freed. Threads
    (of a dask worker that has several) take turns, so that none gets a result of another's source.

    >>> cache, source = Cache(100), (object(),)
    >>> cache.get(source, "key", lambda: "computed", len)
    'computed'
    >>> cache.get(source, "key", lambda: "again", len)
    'computed'
    """

    def __init__(self, budget: int):
        self.budget = budget
        self._source: tuple = ()
        self._results: OrderedDict = OrderedDict()
        self._turn = RLock()

    def get(
        self, source: tuple, key: Hashable, compute: Callable, nbytes: Callable[[Any], int]
    ) -> Any:
        """Return the result kept under a key for these source objects, or compute and keep it.

        ``nbytes`` gives the size of a result, which must not be changed in place.
        """
        with self._turn:
            if [*map(id, source)] != [*map(id, self._source)]:
                self._source, self._results = source, OrderedDict()
            if key in self._results:
                self._results.move_to_end(key)
                return self._results[key]
            result = self._results[key] = compute()
            while len(self._results) > 1 and sum(map(nbytes, self._results.values())) > self.budget:
                self._results.popitem(last=False)
            return result
