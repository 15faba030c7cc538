"""One step ahead: the next item is made in a thread while this one is worked upon.

Where the work mostly waits for the database, what is made meanwhile costs no time: the one waits, the other computes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def ahead(items: Iterable[Item], make: Callable[[Item], Made]) -> Generator[Made]:
    """What `make` makes of each item, in order; one more than was asked for is made, and no more.

    The items are drawn in that one thread, and closed there where they are a generator. An error of theirs, or of
    `make`, is raised where its item would have come.
    """
    source = iter(items)

    def step() -> tuple[Made] | None:
        for item in source:
            return (make(item),)
        return None

    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming: Future[tuple[Made] | None] = pool.submit(step)
        try:
            while (made := coming.result()) is not None:
                coming = pool.submit(step)
                yield made[0]
        finally:
            if close := getattr(source, "close", None):
                pool.submit(close).result()
