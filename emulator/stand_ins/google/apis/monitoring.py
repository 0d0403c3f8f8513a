"""Cloud Monitoring: alert policies and the channels that they notify."""

import itertools
import re

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import GoogleRefusal, invalid, not_found
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json, copied

CHANNEL_LABELS = {
    "email": "email_address", "pubsub": "topic", "webhook_tokenauth": "url", "slack": "channel_name", "sms": "number",
    "pagerduty": "service_key",
}  # fmt: skip
LOG_METRIC = re.compile(r'metric\.type\s*=\s*"logging\.googleapis\.com/user/([^"]+)"')
_numbers = itertools.count(10**18)


def _find(call: Call, kind: str) -> Json:
    if call.resource not in call.table(kind):
        raise not_found(f"The requested {kind.lower()} {call.resource} was not found.")
    return call.table(kind)[call.resource]


def _check_policy(call: Call, policy: Json) -> None:
    if not policy.get("displayName"):
        raise invalid("Field alert_policy.display_name is required.", field="alert_policy.display_name")
    conditions = policy.get("conditions") or []
    if not 0 < len(conditions) <= 6 or policy.get("combiner", "COMBINE_UNSPECIFIED") == "COMBINE_UNSPECIFIED":  # noqa: PLR2004  # Google's limit
        raise invalid("Field alert_policy.conditions must have 1 to 6 conditions, and a combiner is required.")
    for condition in conditions:
        found = LOG_METRIC.search(str(condition.get("conditionThreshold", {}).get("filter", "")))
        if found and f"projects/{call.project.id}/metrics/{found[1]}" not in call.table("LogMetric"):
            raise not_found(
                f'Cannot find metric that matches type = "logging.googleapis.com/user/{found[1]}". If a metric was '
                "created recently, it could take up to 10 minutes to become available. Please try again soon."
            )  # fmt: skip
    for channel in policy.get("notificationChannels") or []:
        if channel not in call.table("NotificationChannel"):
            message = f'Field alert_policy.notification_channels has an invalid value of "{channel}": not found.'
            raise invalid(message)


@serves("monitoring.v3 projects.alertPolicies.create", needs="monitoring.alertPolicies.create")
def create_policy(call: Call) -> Json:
    _check_policy(call, call.body)
    name = f"{call.resource}/{next(_numbers)}"
    given = copied({key: value for key, value in call.body.items() if key not in {"name", "creationRecord"}})
    for number, condition in enumerate(given["conditions"]):
        condition["name"] = f"{name}/conditions/{number + 1}"
    return call.table("AlertPolicy").add(name, {"enabled": True, **given, "creationRecord": {"mutateTime": now_text()}})


@serves("monitoring.v3 projects.alertPolicies.list", needs="monitoring.alertPolicies.list")
def list_policies(call: Call) -> Json:
    return call.page("alertPolicies", call.table("AlertPolicy").values())


@serves("monitoring.v3 projects.alertPolicies.get", needs="monitoring.alertPolicies.get")
def get_policy(call: Call) -> Json:
    return copied(_find(call, "AlertPolicy"))


@serves("monitoring.v3 projects.alertPolicies.patch", needs="monitoring.alertPolicies.update")
def patch_policy(call: Call) -> Json:
    have = _find(call, "AlertPolicy")
    wanted = call.patched(copied(have))
    _check_policy(call, wanted)
    wanted["name"] = have["name"]
    for number, condition in enumerate(wanted["conditions"]):
        condition.setdefault("name", f"{have['name']}/conditions/{number + 1}")
    have.clear()
    have.update(wanted, mutationRecord={"mutateTime": now_text()})
    return copied(have)


@serves("monitoring.v3 projects.alertPolicies.delete", needs="monitoring.alertPolicies.delete")
def delete_policy(call: Call) -> Json:
    call.table("AlertPolicy").remove(str(_find(call, "AlertPolicy")["name"]))
    return {}


@serves("monitoring.v3 projects.notificationChannels.create", needs="monitoring.notificationChannels.create")
def create_channel(call: Call) -> Json:
    kind = str(call.body.get("type", ""))
    if kind not in CHANNEL_LABELS:
        raise invalid(f'Field notification_channel.type had an invalid value of "{kind}".')  # fmt: skip
    if CHANNEL_LABELS[kind] not in (call.body.get("labels") or {}):
        raise invalid(f'Field notification_channel.labels is missing the label "{CHANNEL_LABELS[kind]}".')  # fmt: skip
    given = {key: value for key, value in call.body.items() if key != "name"}
    name = f"{call.resource}/{next(_numbers)}"
    return call.table("NotificationChannel").add(
        name, {"enabled": True, **given, "creationRecord": {"mutateTime": now_text()}}
    )


@serves("monitoring.v3 projects.notificationChannels.list", needs="monitoring.notificationChannels.list")
def list_channels(call: Call) -> Json:
    return call.page("notificationChannels", call.table("NotificationChannel").values())


@serves("monitoring.v3 projects.notificationChannels.get", needs="monitoring.notificationChannels.get")
def get_channel(call: Call) -> Json:
    return copied(_find(call, "NotificationChannel"))


@serves("monitoring.v3 projects.notificationChannels.patch", needs="monitoring.notificationChannels.update")
def patch_channel(call: Call) -> Json:
    return copied(call.patched(_find(call, "NotificationChannel")))


@serves("monitoring.v3 projects.notificationChannels.delete", needs="monitoring.notificationChannels.delete")
def delete_channel(call: Call) -> Json:
    name = str(_find(call, "NotificationChannel")["name"])
    users = [each for each in call.table("AlertPolicy").values() if name in (each.get("notificationChannels") or [])]
    if users and call.query.get("force") != "true":
        raise GoogleRefusal("FAILED_PRECONDITION", f"Channel {name} is in use by {users[0]['name']}.")
    call.table("NotificationChannel").remove(name)
    return {}
