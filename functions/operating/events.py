"""Commands `dead-events`, `resend-event` and `discard-event`: events that failed for too long."""

import argparse

from functions.dead_events import DeadEvents
from shared.bootstrap import Services
from shared.kernel.clock import rfc3339


def dead_events(asked: argparse.Namespace, services: Services) -> None:
    """Print the dead events that wait for a person."""
    del asked
    waiting = DeadEvents(services).waiting()
    for event in waiting:
        print(f"{event.id}  {event.function}  {event.code}  {rfc3339(event.at)}  {event.subject or event.event_id}")
    print(f"{len(waiting)} wait.")


def resend_event(asked: argparse.Namespace, services: Services) -> None:
    """Handle a dead event again, here and now."""
    event = DeadEvents(services).resend(asked.event)
    print(f"{event.id} was handled by {event.function}, and waits no longer.")


def discard_event(asked: argparse.Namespace, services: Services) -> None:
    """Forget a dead event that nobody can handle."""
    event = DeadEvents(services).discard(asked.event, asked.reason)
    print(f"{event.id} is forgotten; its facts stand in the audit trail.")
