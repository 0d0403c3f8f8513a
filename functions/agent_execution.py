"""Work that goes on behind a request: images are made, agents take their steps."""

from functions.edge import MalformedEvent, TopicEvent, on_message
from shared.bootstrap import Services
from shared.kernel.ids import is_safe_id


@on_message
def generate_image(event: TopicEvent, services: Services) -> None:
    """An image task was called for: go on with it, as far as one run goes."""
    services.image_job.run(_named(event, "task_id"))


@on_message
def run_agent_step(event: TopicEvent, services: Services) -> None:
    """An agent task is to be gone on with: one bounded slice of it, if no other worker has it."""
    services.agent_slice.run(_named(event, "task_id"))


def _named(event: TopicEvent, name: str) -> str:
    value = event.data.get(name)
    if not isinstance(value, str) or not is_safe_id(value):
        raise MalformedEvent(f"it has no {name}")
    return value
