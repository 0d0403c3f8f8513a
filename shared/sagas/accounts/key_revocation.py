"""Revoking an API key: the key is refused from now on, and the work in the key's name stops.

The deleted key decides: each worker on the key's tasks looks for the key before each step. Stopping the waiting tasks
here only speeds that up. If stopping fails here, the next worker ends the task.
"""

from collections.abc import Callable, Sequence

from shared.ai.agents.store import AgentTaskStore
from shared.ai.images.task_store import ImageTasks
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.sagas.metering.key_budgets import KeyBudgets
from shared.users.api_keys import ApiKey, ApiKeys
from shared.users.key_lookup import KeyLookup
from shared.users.principal import key_spender

STOPPED_MAX = 100
"""Most tasks of a kind that one revocation ends at once. A worker ends the others when the worker takes them up."""

Run = Callable[[str], object]
"""Function that runs the task with this id."""


class KeyRevocation:
    """The saga that revokes an API key."""

    def __init__(  # a saga asks for its parts by name
        self,
        *,
        keys: ApiKeys,
        lookup: KeyLookup,
        budgets: KeyBudgets,
        agent_tasks: AgentTaskStore,
        image_tasks: ImageTasks,
        run_agent: Run,
        run_image: Run,
    ) -> None:
        self._keys = keys
        self._lookup = lookup
        self._budgets = budgets
        self._agent_tasks = agent_tasks
        self._image_tasks = image_tasks
        self._run_agent = run_agent
        self._run_image = run_image

    def revoke(self, uid: Uid, key_id: str) -> ApiKey:
        """Delete the key, pause the key's agent tasks, end the key's image tasks, and return the deleted key.

        Raises KeyNotFound, also for another user's key.
        """
        key = self._keys.revoke(uid, key_id)
        self._lookup.forget_key(key.id)
        self._budgets.forget_budget(key)
        spender = key_spender(key.id)
        self._stop(lambda: self._agent_tasks.live_of(spender, STOPPED_MAX), self._run_agent)
        self._stop(lambda: self._image_tasks.open_of(spender, STOPPED_MAX), self._run_image)
        return key

    def _stop(self, find: Callable[[], Sequence[str]], run: Run) -> None:
        """Run each task, so that the worker finds the key gone. A task that runs elsewhere is left alone."""
        try:
            found = find()
        except DomainError as error:
            log("work_of_key_not_found", "WARNING", code=error.code)
            return
        for task_id in found:
            try:
                run(task_id)
            except DomainError as error:
                log("work_of_key_not_stopped", "WARNING", task_id=task_id, code=error.code)
