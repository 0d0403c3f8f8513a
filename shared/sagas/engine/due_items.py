"""Jobs over due documents: each run attempts the due items side by side, the most overdue first."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from shared.kernel.deadline import Deadline
from shared.kernel.documents import Document
from shared.kernel.due import DuePlace, due_place
from shared.sagas.engine.jobs import JobRun

PAGE = 50
DuePages: TypeAlias = Callable[[int, DuePlace | None], Sequence[Document]]
"""Reader of a list of due documents: takes the most documents to return, and the place to begin, None for the start."""
DueWork: TypeAlias = Callable[[Document, Deadline], object]


def attempt_due(run: JobRun, job: str, lists: Sequence[DuePages], work: DueWork) -> None:
    """Attempt the due items of the lists, one list after the other, from the run's cursor to the end.

    Each page begins behind the last, so that items that fail and stay due hold up no others. A run that ends early
    leaves its place to the next run. Raises StoreUnavailable.
    """
    number, place = _place_in(run.cursor, len(lists))
    while number < len(lists) and not run.is_over():
        page = lists[number](PAGE, place)
        found = {document.path: document for document in page}
        begun = run.attempt_all(job, list(found), partial(_work_on, found, work))
        if begun == len(page) < PAGE:
            number, place = number + 1, None
        elif begun:
            place = due_place(page[begun - 1])
        run.cursor = "" if number == len(lists) else _text(number, place)


def _work_on(found: Mapping[str, Document], work: DueWork, path: str, deadline: Deadline) -> None:
    work(found[path], deadline)


def _place_in(cursor: str, lists: int) -> tuple[int, DuePlace | None]:
    """Return the number of the list and the place in that list. A cursor of an older release means the start."""
    number, _, rest = cursor.partition(":")
    at, _, path = rest.partition(":")
    if not (number.isdecimal() and int(number) < lists and at.isdecimal()):
        return 0, None
    return int(number), DuePlace(int(at), path) if path else None


def _text(number: int, place: DuePlace | None) -> str:
    return f"{number}:0:" if place is None else f"{number}:{place.at}:{place.path}"
