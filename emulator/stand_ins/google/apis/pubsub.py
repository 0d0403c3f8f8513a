"""Pub/Sub: topics and subscriptions, their policies, and publishing into nothing."""

import itertools
import re

from emulator.stand_ins.google.calls import Call, serve_policy, serves
from emulator.stand_ins.google.errors import GoogleRefusal, already_exists, invalid, not_found
from emulator.stand_ins.google.policies import Policy
from emulator.stand_ins.wire import Json, copied

RESOURCE_ID = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_messages = itertools.count(1_000_000)


def _find(call: Call) -> Json:
    kind = "subscription" if "subscriptionsId" in call.places else "topic"
    name = call.resource
    table = call.table(kind.capitalize())
    if name not in table:
        raise not_found(f"Resource not found (resource={name.rpartition('/')[2]}).")
    return table[name]


def _require_id(resource_id: str) -> None:
    if not RESOURCE_ID.fullmatch(resource_id):
        raise invalid(
            f"Invalid resource name given (name={resource_id}). Refer to "
            "https://cloud.google.com/pubsub/docs/pubsub-basics#resource_names for more information."
        )


@serves("pubsub.v1 projects.topics.create", needs="pubsub.topics.create")
def create_topic(call: Call) -> Json:
    topic = call.places["topicsId"]
    _require_id(topic)
    if call.resource in call.table("Topic"):
        raise already_exists(f"Resource already exists in the project (resource={topic}).")
    given = {key: value for key, value in call.body.items() if key not in {"name", "state"}}
    return call.table("Topic").add(call.resource, given)


@serves("pubsub.v1 projects.topics.get", needs="pubsub.topics.get")
def get_topic(call: Call) -> Json:
    return copied(_find(call))


@serves("pubsub.v1 projects.topics.list", needs="pubsub.topics.list")
def list_topics(call: Call) -> Json:
    return call.page("topics", call.table("Topic").values())


@serves("pubsub.v1 projects.topics.patch", needs="pubsub.topics.update")
def patch_topic(call: Call) -> Json:
    topic = _find(call)
    for path in str(call.body.get("updateMask", "")).split(","):
        if path in {"labels", "messageRetentionDuration", "message_retention_duration"}:
            key = "messageRetentionDuration" if path.startswith("message") else path
            topic[key] = (call.body.get("topic") or {}).get(key)
        else:
            raise invalid(f"Invalid update_mask provided in the UpdateTopicRequest: '{path}' is not a known field.")
    return copied(topic)


@serves("pubsub.v1 projects.topics.delete", needs="pubsub.topics.delete")
def delete_topic(call: Call) -> Json:
    call.table("Topic").remove(str(_find(call)["name"]))
    return {}


@serves("pubsub.v1 projects.topics.publish", needs="pubsub.topics.publish")
def publish(call: Call) -> Json:
    _find(call)
    messages = call.body.get("messages") or []
    if not messages:
        raise GoogleRefusal("INVALID_ARGUMENT", "The value for message_count is too small. You passed 0.")
    return {"messageIds": [str(next(_messages)) for _ in messages]}


@serves("pubsub.v1 projects.topics.subscriptions.list", needs="pubsub.topics.get")
def list_topic_subscriptions(call: Call) -> Json:
    topic = call.resource.removesuffix("/subscriptions")
    names = [name for name, each in call.table("Subscription").items() if each["topic"] == topic]
    return {"subscriptions": names} if names else {}


@serves("pubsub.v1 projects.subscriptions.create", needs="pubsub.subscriptions.create")
def create_subscription(call: Call) -> Json:
    subscription, topic = call.places["subscriptionsId"], str(call.body.get("topic", ""))
    _require_id(subscription)
    if topic not in call.table("Topic"):
        raise not_found(f"Resource not found (resource={topic.rpartition('/')[2]}).")
    if call.resource in call.table("Subscription"):
        raise already_exists(f"Resource already exists in the project (resource={subscription}).")
    given = {key: value for key, value in call.body.items() if key not in {"name", "state"}}
    defaults = {"ackDeadlineSeconds": 10, "messageRetentionDuration": "604800s", "state": "ACTIVE"}
    return call.table("Subscription").add(call.resource, {**defaults, **given})


@serves("pubsub.v1 projects.subscriptions.get", needs="pubsub.subscriptions.get")
def get_subscription(call: Call) -> Json:
    return copied(_find(call))


@serves("pubsub.v1 projects.subscriptions.list", needs="pubsub.subscriptions.list")
def list_subscriptions(call: Call) -> Json:
    return call.page("subscriptions", call.table("Subscription").values())


@serves("pubsub.v1 projects.subscriptions.delete", needs="pubsub.subscriptions.delete")
def delete_subscription(call: Call) -> Json:
    call.table("Subscription").remove(str(_find(call)["name"]))
    return {}


@serves("pubsub.v1 projects.subscriptions.pull", needs="pubsub.subscriptions.consume")
def pull(call: Call) -> Json:
    _find(call)
    return {}


@serves("pubsub.v1 projects.subscriptions.acknowledge", needs="pubsub.subscriptions.consume")
def acknowledge(call: Call) -> Json:
    _find(call)
    return {}


def _policy(call: Call) -> Policy:
    return call.project.policy_of(str(_find(call)["name"]))


serve_policy("pubsub.v1 projects.topics", "pubsub.topics", _policy)
serve_policy("pubsub.v1 projects.subscriptions", "pubsub.subscriptions", _policy)
