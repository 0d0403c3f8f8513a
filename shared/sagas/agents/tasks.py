"""Agent tasks as their users see them: begin a task, read, cancel, resume."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.ai.agents.documents import file_write, new_task, task_of
from shared.ai.agents.store import AgentTaskStore
from shared.ai.agents.task import (
    ENDED,
    LIVE,
    ModelWithoutTools,
    StoredFile,
    Task,
    TaskEnded,
    TaskNotFound,
    TaskRunning,
    TaskSpec,
    TaskStep,
    TooManyTasks,
)
from shared.ai.chat.keeping import kept_in, storage_path
from shared.ai.models.catalogue import AUTO, Catalogue, Model
from shared.ai.models.preferences import Preferences
from shared.kernel.clock import Clock, to_datetime
from shared.kernel.creation import create_or_find
from shared.kernel.deadline import NEVER, Deadline
from shared.kernel.documents import Data, Document, Documents, PreconditionFailed, Value, Write
from shared.kernel.due import DuePlace
from shared.kernel.errors import Forbidden, IdempotencyMismatch, InvalidValue
from shared.kernel.events import log
from shared.kernel.ids import OperationId, Uid, derived_id
from shared.kernel.money import Micro
from shared.kernel.pages import Page
from shared.sagas.agents.slice import GRACE, AgentSlice
from shared.sagas.agents.toolbox import CHOICES, missing_scope, usable_tools, with_tools_of_every_task
from shared.sagas.agents.tools.write_artifact import FILES_MAX, content_type, is_file_name
from shared.users.principal import KeyUse

TOOLS_CAPABILITY = "tools"
"""The capability of models that can call tools."""
TASKS_LIVE_MAX = 20
STEPS_MAX_DEFAULT = 25
GIVEN_BYTES_MAX = 500_000
PATCH_ATTEMPTS_MAX = 8
CREATE_PAUSE_SECONDS = 0.02
RESUMES_REMEMBERED = 20


class ToolNeedsScope(Forbidden):
    """The API key needs the scope `scope` for its tasks to use the tool `tool`."""

    code = "tool_needs_scope"

    def __init__(self, tool: str, scope: str) -> None:
        detail = f"The tool {tool} needs an API key with the scope {scope}. Leave the tool out, or use another key."
        super().__init__(detail, tool=tool, scope=scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequest:
    """A request to continue a task. If `budget` (µcr, in all) or `max_steps` is None, the task's present value stays.

    `spender` is the caller of this request: from now on the task spends for them, within the cap of their `key`.
    """

    uid: Uid
    task_id: str
    operation: OperationId
    budget: Micro | None = None
    max_steps: int | None = None
    spender: str = ""
    key: KeyUse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    """A request to begin a task. `budget` is the most that the task may cost, in µcr; `files` are names and texts.

    `spender` is the caller who pays: the user, or the API key `key` that the caller used. If `model` or `tools` is
    None, the defaults apply.
    """

    uid: Uid
    goal: str
    budget: Micro
    operation: OperationId
    fingerprint: str
    model: str | None = None
    tools: Sequence[str] | None = None
    max_steps: int = STEPS_MAX_DEFAULT
    files: Sequence[tuple[str, str]] = ()
    spender: str = ""
    key: KeyUse | None = None


class Agents:
    """Agent tasks of users."""

    def __init__(
        self,
        *,
        documents: Documents,
        catalogue: Catalogue,
        preferences: Preferences,
        slices: AgentSlice,
        clock: Clock,
        default_model: str,
    ) -> None:
        self._documents = documents
        self._tasks = AgentTaskStore(documents)
        self._catalogue = catalogue
        self._preferences = preferences
        self._slices = slices
        self._clock = clock
        self._default_model = default_model

    def begin_task(self, request: TaskRequest) -> Task:
        """Create the task and publish the first message for its workers. The same operation returns the same task.

        Raises ModelNotFound, ModelUnpriced, ModelWithoutTools, ToolNeedsScope, TooManyTasks, TooManyTasksToday,
        InvalidValue, IdempotencyMismatch.
        """
        task_id = derived_id("task", request.operation)
        try:
            return self._begun(request, task_id)
        except TaskNotFound:
            pass
        model = self.model_for(request.uid, request.model).id
        files = _files(request.files)
        now = self._clock.now()
        wanted = TaskSpec(
            uid=request.uid,
            goal=request.goal,
            model=model,
            tools=_tools(request.tools, request.key),
            budget=request.budget,
            max_steps=request.max_steps,
            fingerprint=request.fingerprint,
            spender=request.spender or request.uid,
            key_cap=_key_cap(request.key),
        )
        data = new_task(task_id, wanted, files, at=now, due_at=now + GRACE)
        written = [file_write(task_id, request.uid, file, now) for file in files]
        self._create(request.uid, task_id, data, written)
        log("agent_task_begun", task_id=task_id, uid=request.uid, model=model, budget=request.budget)
        return self._begun(request, task_id)

    def is_known(self, uid: Uid, operation: OperationId) -> bool:
        """Return True if this operation has begun a task of the user."""
        try:
            self._tasks.get(uid, derived_id("task", operation))
        except TaskNotFound:
            return False
        return True

    def get(self, uid: Uid, task_id: str) -> Task:
        """Return one task of the user. Raises TaskNotFound."""
        return self._tasks.get(uid, task_id)

    def page(self, uid: Uid, *, cursor: str | None, limit: int) -> Page[Task]:
        """Return a page of the user's tasks, newest first."""
        return self._tasks.page(uid, cursor=cursor, limit=limit)

    def steps(self, uid: Uid, task_id: str, *, after: int, limit: int) -> tuple[Task, list[TaskStep]]:
        """Return a task and its steps after number `after`. Raises TaskNotFound."""
        task = self._tasks.get(uid, task_id)
        return task, self._tasks.steps(task, after=after, limit=limit)

    def file(self, uid: Uid, task_id: str, name: str) -> StoredFile:
        """Return one file of a task of the user. Raises TaskNotFound, FileNotInTask."""
        return self._tasks.file(self._tasks.get(uid, task_id), name)

    def cancel(self, uid: Uid, task_id: str) -> Task:
        """Cancel the task, and return the task: no further step begins.

        A running step is recorded and charged. Raises TaskNotFound, TaskEnded.
        """
        for attempt in range(1, PATCH_ATTEMPTS_MAX + 1):
            document, task = self._read(uid, task_id)
            if task.status == "cancelled" or task.is_cancel_asked:
                break
            if task.status in ENDED:
                raise TaskEnded(task.status)
            now = to_datetime(self._clock.now())
            try:
                self._tasks.patch(document, {"is_cancel_asked": True, "due_at": now, "updated_at": now})
                break
            except PreconditionFailed:
                if attempt == PATCH_ATTEMPTS_MAX:
                    raise
        self._slices.run(task_id)
        return self._tasks.get(uid, task_id)

    def resume(self, asked: ResumeRequest) -> Task:
        """Continue a task that has paused or failed, with the new budget or step limit if the request has one.

        From now on the caller pays, even if another caller began the task. If the caller's key lacks the scope for a
        tool, the task cannot use the tool. A later resume by a caller with the scope makes the tool usable again.

        Raises TaskNotFound, TaskEnded, TaskRunning, TooManyTasks, InvalidValue.
        """
        uid, task_id = asked.uid, asked.task_id
        for attempt in range(1, PATCH_ATTEMPTS_MAX + 1):
            document, task = self._read(uid, task_id)
            if asked.operation in task.resumed_by:
                return task
            changes = self._resumed(task, asked)
            self._require_room(uid)
            try:
                self._tasks.patch(document, changes)
                break
            except PreconditionFailed:
                if attempt == PATCH_ATTEMPTS_MAX:
                    raise
        self._slices.tell(task_id)
        log("agent_task_resumed", task_id=task_id, uid=uid, spender=asked.spender)
        return self._tasks.get(uid, task_id)

    def erase(self, uid: Uid, deadline: Deadline = NEVER) -> bool:
        """Remove all data of the user; see `Erasable.erase`."""
        return self._tasks.erase(uid, deadline)

    def due(self, limit: int, after: DuePlace | None = None, *, is_old: bool = False) -> Sequence[Document]:
        """Return the tasks of one form that wait for a worker; see `AgentTaskStore.due`."""
        return self._tasks.due(self._clock.now(), limit, after, is_old=is_old)

    def tell(self, task_id: str) -> None:
        """Publish the message for this task's workers again."""
        self._slices.tell(task_id)

    def _begun(self, request: TaskRequest, task_id: str) -> Task:
        """Return the task that this operation has created. If no worker has begun, publish the task's message again.

        Raises TaskNotFound, IdempotencyMismatch.
        """
        task = self._tasks.find(request.uid, task_id)
        if task.fingerprint != request.fingerprint:
            raise IdempotencyMismatch
        if task.status == "queued":
            self._slices.tell(task_id)
        return task

    def _create(self, uid: Uid, task_id: str, data: Data, files: Sequence[Write]) -> None:
        """Create the task and count it, unless the task exists.

        Raises TooManyTasks, TooManyTasksToday, and the store's error if all attempts fail.

        Live tasks are counted after the read that the commit depends on. So no other task can begin in between.
        """

        def create() -> bool:
            kept = kept_in(uid, self._documents.get(storage_path(uid)))
            self._require_room(uid)
            self._tasks.create(task_id, data, [*files, kept.with_task(self._clock.now()).write])
            return True

        create_or_find(
            create,
            lambda: self._tasks.exists(task_id) or None,
            pause=lambda: self._clock.wait(CREATE_PAUSE_SECONDS),
            attempts_max=PATCH_ATTEMPTS_MAX,
        )

    def _require_room(self, uid: Uid) -> None:
        if self._tasks.live(uid, TASKS_LIVE_MAX) >= TASKS_LIVE_MAX:
            raise TooManyTasks(TASKS_LIVE_MAX)

    def _read(self, uid: Uid, task_id: str) -> tuple[Document, Task]:
        """Return the document of the user's task, ready to be changed, and the task. Raises TaskNotFound."""
        self._tasks.get(uid, task_id)
        document = self._tasks.for_work(task_id)
        if document is None:
            raise TaskNotFound
        return document, task_of(document)

    def model_for(self, uid: Uid, asked: str | None) -> Model:
        """Return the model for a whole task: the model `asked`, else the user's preference for chat.

        If that is `auto`, or the user has no preference, return the platform's default. Raises ModelNotFound,
        ModelUnpriced, ModelWithoutTools.
        """
        chosen = asked or self._preferences.get(uid)["chat_model"] or AUTO
        model = self._catalogue.chat(self._default_model if chosen == AUTO else chosen)
        if TOOLS_CAPABILITY not in model.capabilities:
            raise ModelWithoutTools(model.id)
        return model

    def _resumed(self, task: Task, asked: ResumeRequest) -> dict[str, Value]:
        """Return the fields that the resume changes. Raises TaskEnded, TaskRunning, InvalidValue."""
        if task.status in ENDED or task.is_cancel_asked:
            raise TaskEnded("cancelled" if task.is_cancel_asked else task.status)
        if task.status in LIVE:
            raise TaskRunning
        if asked.budget is not None and asked.budget < task.spent:
            raise InvalidValue("budget", "must not be less than what was spent already")
        now = self._clock.now()
        return {
            "status": "queued",
            "reason": None,
            "attempts": 0,
            "spender": asked.spender or asked.uid,
            "key_cap": _key_cap(asked.key),
            "budget": task.budget if asked.budget is None else asked.budget,
            "max_steps": task.max_steps if asked.max_steps is None else asked.max_steps,
            "resumed_by": [*task.resumed_by, asked.operation][-RESUMES_REMEMBERED:],
            "updated_at": to_datetime(now),
            "due_at": to_datetime(now + GRACE),
        }


def _tools(chosen: Sequence[str] | None, key: KeyUse | None) -> list[str]:
    """Return the tools of a task, always with planning. If `chosen` is None, return all that the key has scopes for.

    Raises InvalidValue, ToolNeedsScope.
    """
    scopes = None if key is None else key.scopes
    wanted = usable_tools(CHOICES, scopes) if chosen is None else chosen
    if unknown := [name for name in wanted if name not in CHOICES]:
        raise InvalidValue("tools", f"must be of {', '.join(CHOICES)}; {unknown[0]} is not one")
    for name in wanted:
        if (scope := missing_scope(name, scopes)) is not None:
            raise ToolNeedsScope(name, scope)
    return with_tools_of_every_task(wanted)


def _key_cap(key: KeyUse | None) -> dict[str, Value] | None:
    """Return the key's present spending cap, or None without a cap.

    All spending of the task counts against this cap, until the task ends.
    """
    if key is None or key.cap is None:
        return None
    return {"id": key.id, "amount": key.cap.amount, "period": key.cap.period}


def _files(given: Sequence[tuple[str, str]]) -> list[StoredFile]:
    if len(given) > FILES_MAX // 2 or len({name for name, _ in given}) != len(given):
        raise InvalidValue("documents", f"must be at most {FILES_MAX // 2}, each with a name of its own")
    if any(not is_file_name(name) for name, _ in given):
        raise InvalidValue("documents", "must have names of letters, digits and _ . - without a path")
    if sum(len(content.encode()) for _, content in given) > GIVEN_BYTES_MAX:
        raise InvalidValue("documents", f"must have at most {GIVEN_BYTES_MAX} bytes together")
    return [
        StoredFile(name=name, content=content, content_type=content_type(name), is_artifact=False)
        for name, content in given
    ]
