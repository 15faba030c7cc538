"""Which rows of a file are equal to an earlier one: eight bytes a row, so that large files can be read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Repeats:
    """Counts digests over one reading of a file.

    Keeps the first 8 of a digest's 16 bytes, as sorted runs that are merged as they grow alike (at most
    about log2 of the rows). Two rows that differ share those bytes about once in 10^19 / rows^2 files; one
    of them is then numbered as if it were a repeat, which is as good an id as long as the file's order stays.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []
        self._counts: dict[int, int] = {}  # of keys met more than once

    def number(self, digests: list[bytes]) -> list[int]:
        """For each digest of 16 bytes, in order, how many times it has now been met: 1 for a new one."""
        if not digests:
            return []
        keys = np.frombuffer(b"".join(digests), dtype="<u8")[::2].astype(np.uint64)
        known = np.zeros(len(keys), dtype=bool)
        for run in self._runs:
            place = np.minimum(np.searchsorted(run, keys), len(run) - 1)
            known |= run[place] == keys
        fresh = np.unique(keys[~known])
        self._add(fresh)
        if len(fresh) == len(keys):
            return [1] * len(keys)
        numbers: list[int] = []
        here: set[int] = set()
        for key, before in zip(keys.tolist(), known.tolist(), strict=True):
            count = self._counts.get(key, 1 if before or key in here else 0) + 1
            here.add(key)
            if count > 1:
                self._counts[key] = count
            numbers.append(count)
        return numbers

    def _add(self, fresh: NDArray[np.uint64]) -> None:
        if len(fresh):
            self._runs.append(fresh)
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last = self._runs.pop()
            self._runs[-1] = np.sort(np.concatenate((self._runs[-1], last)), kind="stable")
