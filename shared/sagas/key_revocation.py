"""Revoking an API key: the key is refused from now on, and what was asked for with it stops.

The deleted key is the law: whoever works on the key's tasks looks for it before each step. To stop the waiting ones
here only makes that happen at once, so that what fails here is made up for by the next worker.
"""

from collections.abc import Callable, Sequence

from shared.ai.agent_tasks import AgentTasks
from shared.ai.image_tasks import ImageTasks
from shared.kernel.errors import DomainError
from shared.kernel.events import log
from shared.kernel.ids import Uid
from shared.sagas.key_budgets import KeyBudgets
from shared.users.api_keys import ApiKey, ApiKeys
from shared.users.key_lookup import KeyLookup
from shared.users.principal import key_spender

STOPPED_MAX = 100
"""Most tasks of a kind that one revocation ends at once; a worker ends the others when it takes them up."""

Run = Callable[[str], object]
"""Takes up the task with this id."""


class KeyRevocation:
    """See the module."""

    def __init__(  # a saga asks for its parts by name
        self,
        *,
        keys: ApiKeys,
        lookup: KeyLookup,
        budgets: KeyBudgets,
        agent_tasks: AgentTasks,
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
        """Forget the key, pause its agent tasks, end its image tasks. Raises KeyNotFound, also for another user's."""
        key = self._keys.revoke(uid, key_id)
        self._lookup.forget(key.id)
        self._budgets.forget(key)
        spender = key_spender(key.id)
        self._stop(lambda: self._agent_tasks.live_of(spender, STOPPED_MAX), self._run_agent)
        self._stop(lambda: self._image_tasks.open_of(spender, STOPPED_MAX), self._run_image)
        return key

    def _stop(self, find: Callable[[], Sequence[str]], run: Run) -> None:
        """Let each task be taken up: the worker finds that the key is gone. One under way elsewhere is left alone."""
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
