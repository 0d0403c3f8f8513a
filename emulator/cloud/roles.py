"""Roles of each function's account, least for its work.

The Firebase CLI gives roles by codebase: it makes one account for each codebase with `requiredRoles`. So every function
is a codebase of its own. The CLI also grants each account the access to each of its secrets, but for all codebases at
the same time: it reads a secret's policy, adds one account, and writes the policy without an etag. On a new project the
last writer wins, and the functions of the other accounts cannot start. So the role stands here as well.
"""

from collections.abc import Mapping

from shared.payments.providers import PROVIDERS

DATABASE = "roles/datastore.user"
EVENTS = "roles/eventarc.eventReceiver"
INVOKER = "roles/run.invoker"
OBJECTS = "roles/storage.objectUser"
SECRETS = "roles/secretmanager.secretAccessor"
TOPICS = "roles/pubsub.publisher"
USERS = "roles/firebaseauth.admin"
USERS_READ = "roles/firebaseauth.viewer"

REASONS: Mapping[str, str] = {
    DATABASE: "reads and writes the database's documents",
    EVENTS: "receives the events of the function's trigger",
    INVOKER: "lets the trigger call the function",
    OBJECTS: "reads, writes and deletes users' images in the bucket",
    SECRETS: "reads the function's secrets when an instance starts",
    TOPICS: "publishes credit events, alerts and the calls for workers",
    USERS: "looks users up, sets their roles, and deletes the login of a user who leaves",
    USERS_READ: "asks whether a user's login still exists and may spend",
}
TRIGGERED = (EVENTS, INVOKER)
"""Roles of a function that an event triggers: the trigger acts as the function's account."""

ROLES: Mapping[str, tuple[str, ...]] = {
    "api": (DATABASE, OBJECTS, SECRETS, TOPICS, USERS),
    "on_user_created": (DATABASE, SECRETS, TOPICS, *TRIGGERED),
    "on_user_deleted": (DATABASE, OBJECTS, SECRETS, TOPICS, USERS, *TRIGGERED),
    "on_ledger_entry": (DATABASE, SECRETS, TOPICS, *TRIGGERED),
    "on_entry_updated": (DATABASE, SECRETS, TOPICS, *TRIGGERED),
    "on_entry_deleted": (DATABASE, SECRETS, TOPICS, *TRIGGERED),
    "generate_image": (DATABASE, OBJECTS, SECRETS, TOPICS, USERS_READ, *TRIGGERED),
    **{record.webhook: (DATABASE, SECRETS, TOPICS) for record in PROVIDERS.values()},
    "on_provider_event": (DATABASE, SECRETS, TOPICS, *TRIGGERED),
    "run_agent_step": (DATABASE, OBJECTS, SECRETS, TOPICS, USERS_READ, *TRIGGERED),
    "every_minute": (DATABASE, OBJECTS, SECRETS, TOPICS, USERS),
    "every_day": (DATABASE, OBJECTS, SECRETS, TOPICS, USERS),
}
"""Roles by function. Cloud Scheduler calls a schedule by a grant on that function alone, which the CLI makes."""
