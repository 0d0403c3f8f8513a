"""Chapters of an agent task: many steps in one document, so that a slice does not read each earlier step again.

`agent_jobs/{id}/chapters/{number}` holds the steps from that number on. A chapter is a copy of steps, which never
change, and is written with the last commit of a slice. A slice reads the chapters, and the steps behind the last one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from shared.ai.agents.documents import job_path
from shared.ai.agents.task import Task, TaskStep, step_id
from shared.kernel.documents import Data, Document, Put, Write

CHAPTERS = "chapters"
CHAPTERS_READ_MAX = 1_000
CHAPTER_BYTES_MAX = 600_000
"""Most bytes of a chapter's text, well below the size of a document."""
STEPS_MIN = 8
"""Least new steps for which a chapter is written: fewer are read one by one."""


@dataclass(frozen=True, slots=True)
class TaskHistory:
    """All steps of a task, in order.

    The first `written` steps stand in chapters. The last chapter begins at the step with index `last_begins`.
    """

    steps: Sequence[TaskStep]
    written: int = 0
    last_begins: int = 0


def chapters_path(task_id: str) -> str:
    """Return the path of the collection of a task's chapters."""
    return f"{job_path(task_id)}/{CHAPTERS}"


def steps_in(chapter: Document) -> list[TaskStep]:
    """Return the steps that a chapter holds."""
    return [_step_of(each) for each in json.loads(cast("str", chapter.data["steps"]))]


def next_chapter(task: Task, history: TaskHistory, steps: Sequence[TaskStep]) -> Sequence[Write]:
    """Build the write of a task's new steps, `steps` being all of them now. The last chapter grows if it has room.

    Return no write if the new steps are few, or too large for one document.
    """
    new = steps[history.written :]
    if len(new) < STEPS_MIN:
        return ()
    for content in (steps[history.last_begins :], new):
        text = json.dumps([_data_of(each) for each in content], ensure_ascii=False, separators=(",", ":"))
        if len(text.encode()) <= CHAPTER_BYTES_MAX:
            return (_chapter(task, content, text),)
    return ()


def _chapter(task: Task, steps: Sequence[TaskStep], text: str) -> Write:
    data: Data = {"uid": task.uid, "first": steps[0].number, "last": steps[-1].number, "steps": text}
    return Put(f"{chapters_path(task.id)}/{step_id(steps[0].number)}", data)


def _data_of(step: TaskStep) -> Mapping[str, Any]:
    return {"number": step.number, "kind": step.kind, "at": step.at, "body": dict(step.body)}


def _step_of(data: Mapping[str, Any]) -> TaskStep:
    return TaskStep(number=data["number"], kind=data["kind"], at=data["at"], body=data["body"])
