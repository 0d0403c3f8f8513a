"""Work on several items at once, each on a thread, where most of the time is the store's."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from shared.kernel.tracing import in_this_work

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

AT_ONCE = 8


def side_by_side(work: Callable[[ItemT], ResultT], items: Iterable[ItemT], at_once: int = AT_ONCE) -> list[ResultT]:
    """Do the work on each item, and return the results in order. Raises the first error once all items are done."""
    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(in_this_work(work), item) for item in items]
    return [each.result() for each in running]
