"""Jobs over due documents: each run attempts the due items side by side, the most overdue first."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from shared.kernel.clock import MINUTE, Millis
from shared.kernel.deadline import Deadline
from shared.kernel.documents import Document
from shared.kernel.due import DuePlace, due_place
from shared.sagas.engine.jobs import JobRun

PAGE = 50
SELDOM: Millis = 15 * MINUTE
"""Time between two looks at a seldom list that was empty. A list with due items is looked at in each run."""
RESTING = "rest"
DuePages: TypeAlias = Callable[[int, DuePlace | None], Sequence[Document]]
"""Reader of a list of due documents: takes the most documents to return, and the place to begin, None for the start."""
DueWork: TypeAlias = Callable[[Document, Deadline], object]


def attempt_due(
    run: JobRun, job: str, lists: Sequence[DuePages], work: DueWork, seldom: Sequence[DuePages] = ()
) -> None:
    """Attempt the due items of the lists, one list after the other, from the run's cursor to the end.

    Each page begins behind the last, so that items that fail and stay due hold up no others. A run that ends early
    leaves its place to the next run. `seldom` lists are mostly empty, such as the items of an older form: once found
    empty, they are left out for `SELDOM`. Raises StoreUnavailable.
    """
    now = run.deadline.clock.now()
    asked = lists if _is_resting(run.cursor, now) else (*lists, *seldom)
    rest = run.cursor if asked is lists else f"{RESTING}:{now}"
    number, place = _place_in(run.cursor, len(asked))
    while number < len(asked) and not run.is_over():
        page = asked[number](PAGE, place)
        if page and number >= len(lists):
            rest = ""
        found = {document.path: document for document in page}
        begun = run.attempt_all(job, list(found), partial(_work_on, found, work))
        if begun == len(page) < PAGE:
            number, place = number + 1, None
        elif begun:
            place = due_place(page[begun - 1])
        run.cursor = _text(number, place) if number < len(asked) else rest if seldom else ""


def _work_on(found: Mapping[str, Document], work: DueWork, path: str, deadline: Deadline) -> None:
    work(found[path], deadline)


def _is_resting(cursor: str, now: Millis) -> bool:
    """Return True if the seldom lists were found empty less than `SELDOM` ago."""
    mark, _, at = cursor.partition(":")
    return mark == RESTING and at.isdecimal() and 0 <= now - int(at) < SELDOM


def _place_in(cursor: str, lists: int) -> tuple[int, DuePlace | None]:
    """Return the number of the list and the place in that list. A cursor of an older release means the start."""
    number, _, rest = cursor.partition(":")
    at, _, path = rest.partition(":")
    if not (number.isdecimal() and int(number) < lists and at.isdecimal()):
        return 0, None
    return int(number), DuePlace(int(at), path) if path else None


def _text(number: int, place: DuePlace | None) -> str:
    return f"{number}:0:" if place is None else f"{number}:{place.at}:{place.path}"
