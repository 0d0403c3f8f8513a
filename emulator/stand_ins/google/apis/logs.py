"""Cloud Logging: metrics counted from log lines."""

import re

from emulator.stand_ins.google.calls import Call, serves
from emulator.stand_ins.google.errors import already_exists, invalid, not_found
from emulator.stand_ins.google.state import now_text
from emulator.stand_ins.wire import Json, copied

METRIC_ID = re.compile(r"[A-Za-z0-9_\-.,+!*',()%/]{1,100}")
FILTER_CHARACTERS_MAX = 20_000


def _check(metric: Json) -> None:
    if not METRIC_ID.fullmatch(str(metric.get("name", ""))):
        raise invalid(f"Metric name {metric.get('name')} is not valid.", field="metric.name")
    text = str(metric.get("filter", ""))
    if not text or len(text) > FILTER_CHARACTERS_MAX or text.count('"') % 2 or text.count("(") != text.count(")"):
        raise invalid("Unparseable filter: syntax error.", field="metric.filter")
    labels = {each.get("key") for each in (metric.get("metricDescriptor") or {}).get("labels") or []}
    if set(metric.get("labelExtractors") or {}) != labels:
        raise invalid("Label extractors and the labels of the metric descriptor must have the same keys.")


def _told(call: Call, metric: Json) -> Json:
    short = str(metric["name"]).rpartition("/metrics/")[2]
    descriptor = {
        "metricKind": "DELTA",
        "valueType": "INT64",
        **(metric.get("metricDescriptor") or {}),
        "name": f"projects/{call.project.id}/metricDescriptors/logging.googleapis.com/user/{short}",
        "type": f"logging.googleapis.com/user/{short}",
    }
    return copied({**metric, "name": short, "resourceName": metric["name"], "metricDescriptor": descriptor})


def _find(call: Call) -> Json:
    if call.resource not in call.table("LogMetric"):
        raise not_found(f"Metric {call.places['metricsId']} does not exist.")
    return call.table("LogMetric")[call.resource]


@serves("logging.v2 projects.metrics.create", needs="logging.logMetrics.create")
def create_metric(call: Call) -> Json:
    _check(call.body)
    name = f"{call.resource}/{call.body['name']}"
    if name in call.table("LogMetric"):
        raise already_exists(f"Metric {call.body['name']} already exists.")
    return _put(call, name)


def _put(call: Call, name: str) -> Json:
    now, have = now_text(), call.table("LogMetric").get(name, {})
    made = {**call.body, "name": name, "createTime": have.get("createTime", now), "updateTime": now}
    call.table("LogMetric")[name] = copied(made)
    return _told(call, made)


@serves("logging.v2 projects.metrics.update", needs="logging.logMetrics.update")
def update_metric(call: Call) -> Json:
    """Change a metric, or make one that does not exist yet."""
    _check({"name": call.places["metricsId"], **call.body})
    return _put(call, call.resource)


@serves("logging.v2 projects.metrics.get", needs="logging.logMetrics.get")
def get_metric(call: Call) -> Json:
    return _told(call, _find(call))


@serves("logging.v2 projects.metrics.list", needs="logging.logMetrics.list")
def list_metrics(call: Call) -> Json:
    return call.page("metrics", [_told(call, each) for each in call.table("LogMetric").values()])


@serves("logging.v2 projects.metrics.delete", needs="logging.logMetrics.delete")
def delete_metric(call: Call) -> Json:
    call.table("LogMetric").remove(str(_find(call)["name"]))
    return {}
