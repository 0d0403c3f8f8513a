"""Triggers of work behind a request: make images, take the steps of agents."""

from functions.edge import MalformedEvent, TopicEvent, on_message
from shared.bootstrap import Services
from shared.kernel.ids import is_safe_id


@on_message
def generate_image(event: TopicEvent, services: Services) -> None:
    """Run one slice of the image task that a message names."""
    services.images.job.run(_named(event, "task_id"))


@on_message
def run_agent_step(event: TopicEvent, services: Services) -> None:
    """Run one bounded slice of the agent task that a message names, unless another worker has the task."""
    services.agents.slice.run(_named(event, "task_id"))


def _named(event: TopicEvent, name: str) -> str:
    value = event.data.get(name)
    if not isinstance(value, str) or not is_safe_id(value):
        raise MalformedEvent(f"it has no {name}")
    return value
