"""Rules that Google applies to a function before anything is built: pure, from the function's own fields.

Held to the limits at https://cloud.google.com/functions/quotas, https://cloud.google.com/run/docs/configuring/services
(cpu, memory-limits, concurrency) and to the messages that Firebase users quote. Where no message is published, the
words are our own.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from emulator.stand_ins.google.errors import invalid
from emulator.stand_ins.wire import Json

FUNCTION_ID = re.compile(r"[a-z][a-zA-Z0-9_-]{0,61}[a-zA-Z0-9]")
RUNTIMES = frozenset({
    "nodejs20", "nodejs22", "nodejs24", "python310", "python311", "python312", "python313", "python314", "go124",
    "go125", "java17", "java21", "java25",
})  # fmt: skip
MEBIBYTES = {"k": 1 / 1049, "M": 0.9537, "G": 953.7, "Ki": 1 / 1024, "Mi": 1, "Gi": 1024}
MEMORY = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|k|M|G)?")
MEMORY_MIB = (128, 32 * 1024)
CPU_CHOICES = (1, 2, 4, 6, 8)
CPU_MIN = 0.08
MEMORY_MIB_MIN_BY_CPU = {1: 128, 2: 128, 4: 2048, 6: 4096, 8: 4096}
CPU_MIN_BY_MEMORY_MIB = ((4096, 2), (8192, 4), (16384, 6), (24576, 8))
MEMORY_MIB_MAX_BELOW_ONE_CPU = {0.5: 512, 1.0: 1024}
CONCURRENCY = (1, 1000)
INSTANCES_MAX = 1000
HTTP_SECONDS_MAX = 3600
EVENT_SECONDS_MAX = 540
ENVIRONMENT_BYTES_MAX = 32 << 10
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED_NAMES = frozenset({"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"})
LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
LABELS_MAX = 64
PUBSUB_EVENT = "google.cloud.pubsub.topic.v1.messagePublished"
FIRESTORE_EVENT = "google.cloud.firestore.document.v1."
AUTH_EVENT = "google.firebase.auth.user.v2."
EVENT_TYPES = re.compile(
    r"google\.cloud\.pubsub\.topic\.v1\.messagePublished"
    r"|google\.cloud\.firestore\.document\.v1\.(created|updated|deleted|written)(\.withAuthContext)?"
    r"|google\.firebase\.auth\.user\.v2\.(created|deleted)"
    r"|google\.cloud\.storage\.object\.v1\.(finalized|deleted|archived|metadataUpdated)"
)


def check_function(function_id: str, body: Json) -> None:
    """Raise GoogleRefusal for the first rule that the function breaks."""
    if not FUNCTION_ID.fullmatch(function_id):
        raise invalid(
            f"Invalid function name {function_id}: it must start with a letter followed by up to 62 letters, numbers, "
            "hyphens or underscores, and cannot end with one of the last two.",
            field="function_id",
        )
    service: dict[str, Any] = body.get("serviceConfig") or {}
    _check_build(body.get("buildConfig") or {})
    _check_labels(body.get("labels") or {})
    _check_environment(service)
    _check_size(service)
    _check_instances(service)
    _check_timeout(service, is_event="eventTrigger" in body)
    if trigger := body.get("eventTrigger"):
        _check_trigger(trigger)


def _check_build(build: Json) -> None:
    if build.get("runtime") not in RUNTIMES:
        raise invalid(f"Runtime {build.get('runtime')} is not supported on GCF Gen2.", field="runtime")
    if not build.get("entryPoint"):
        raise invalid("The entry point must be specified.", field="build_config.entry_point")
    if not (build.get("source") or {}).get("storageSource"):
        raise invalid("The source must be specified.", field="build_config.source")


def _check_labels(labels: Mapping[str, str]) -> None:
    if len(labels) > LABELS_MAX:
        raise invalid(f"At most {LABELS_MAX} labels are allowed.", field="labels")
    for key, value in labels.items():
        if not LABEL.fullmatch(key) or not LABEL_VALUE.fullmatch(str(value)):
            raise invalid(f"Label '{key}: {value}' has characters or a length that is not allowed.", field="labels")


def _check_environment(service: Json) -> None:
    plain: dict[str, str] = service.get("environmentVariables") or {}
    secret = [str(each.get("key")) for each in service.get("secretEnvironmentVariables") or []]
    for name in (*plain, *secret):
        if not ENVIRONMENT_NAME.fullmatch(name) or name in RESERVED_NAMES or name.startswith("X_GOOGLE_"):
            raise invalid(f"Environment variable name {name} is reserved or not valid.", field="environment_variables")
    if both := sorted(set(plain) & set(secret)):
        raise invalid(f"Secret environment variable overlaps non secret environment variable: {both[0]}")
    if twice := sorted({name for name in secret if secret.count(name) > 1}):
        raise invalid(f"Secret environment variable {twice[0]} is given twice.")
    if sum(len(name) + len(str(value)) for name, value in plain.items()) > ENVIRONMENT_BYTES_MAX:
        raise invalid("The environment variables exceed 32 KiB.", field="environment_variables")


def mebibytes(text: str) -> float:
    """Return an amount of memory, e.g. `512Mi`, in MiB. Raises GoogleRefusal."""
    found = MEMORY.fullmatch(text)
    if found is None:
        raise invalid(f"Invalid memory amount: {text}", field="service_config.available_memory")
    return float(found[1]) * (MEBIBYTES[found[2]] if found[2] else 1 / (1 << 20))


def _check_size(service: Json) -> None:
    memory = mebibytes(str(service.get("availableMemory", "256Mi")))
    if not MEMORY_MIB[0] <= memory <= MEMORY_MIB[1]:
        raise _bad_limit("memory", f"{memory:g}Mi", "Total memory must be between 128Mi and 32Gi.")
    cpu = _cpu_of(service, memory)
    concurrency = int(service.get("maxInstanceRequestConcurrency") or 1)
    if not CONCURRENCY[0] <= concurrency <= CONCURRENCY[1]:
        raise invalid(
            "spec.template.spec.containerConcurrency: Invalid value specified for container_concurrency: "
            f"{concurrency}. It must be between 1 and 1000."
        )
    if cpu < 1 and concurrency > 1:
        raise _bad_limit("cpu", f"{cpu:g}", "Total cpu < 1 is not supported with concurrency > 1.")
    for message in _size_mistakes(cpu, memory):
        raise _bad_limit("cpu", f"{cpu:g}", message)


def _cpu_of(service: Json, memory: float) -> float:
    """Return the processors. Without a number, Google chooses them by the memory."""
    text = str(service.get("availableCpu", "")) or ("1" if memory >= 2048 else f"{max(0.083, memory / 1769):.3f}")  # noqa: PLR2004  # first-generation sizes
    try:
        cpu = float(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)
    except ValueError:
        raise _bad_limit("cpu", text, "It must be a number.") from None
    if cpu < CPU_MIN or (cpu > 1 and cpu not in CPU_CHOICES):
        raise _bad_limit("cpu", text, "It must be between 0.08 and 1, or one of 1, 2, 4, 6 and 8.")
    return cpu


def _size_mistakes(cpu: float, memory: float) -> Iterator[str]:
    if cpu < 1:
        most = next(mib for below, mib in MEMORY_MIB_MAX_BELOW_ONE_CPU.items() if cpu < below or below == 1)
        if memory > most:
            yield f"For {cpu:g} CPU, memory must be at most {most}Mi."
    elif memory < MEMORY_MIB_MIN_BY_CPU[int(cpu)]:
        yield f"For {cpu:g} CPU, memory must be at least {MEMORY_MIB_MIN_BY_CPU[int(cpu)]}Mi."
    for above, least in CPU_MIN_BY_MEMORY_MIB:
        if memory > above and cpu < least:
            yield f"For more than {above}Mi of memory, at least {least} CPU are needed."


def _bad_limit(kind: str, value: str, why: str) -> Exception:
    return invalid(
        f"spec.template.spec.containers[0].resources.limits.{kind}: Invalid value specified for {kind}: {value}. {why}"
    )


def _check_instances(service: Json) -> None:
    least, most = int(service.get("minInstanceCount") or 0), int(service.get("maxInstanceCount") or 100)
    if least < 0 or not 0 < most <= INSTANCES_MAX:
        raise invalid(f"The number of instances must be between 0 and {INSTANCES_MAX}.", field="max_instance_count")
    if most < least:
        raise invalid(
            f"spec.template.metadata.annotations: maxScale ({most}) must be greater than or equal to minScale "
            f"({least})."
        )


def _check_timeout(service: Json, *, is_event: bool) -> None:
    most = EVENT_SECONDS_MAX if is_event else HTTP_SECONDS_MAX
    seconds = int(service.get("timeoutSeconds") or 60)
    if not 0 < seconds <= most:
        kind = "event-driven" if is_event else "HTTP"
        raise invalid(
            f"Timeout {seconds}s of an {kind} function must be between 1s and {most}s.",
            field="service_config.timeout_seconds",
        )


def _check_trigger(trigger: Json) -> None:
    kind = str(trigger.get("eventType", ""))
    if not EVENT_TYPES.fullmatch(kind):
        raise invalid(f"The event type {kind} is not supported.", field="event_trigger.event_type")
    filters = {str(each.get("attribute")): each for each in trigger.get("eventFilters") or []}
    if kind == PUBSUB_EVENT and not trigger.get("pubsubTopic") and "topic" not in filters:
        raise invalid("The Pub/Sub topic must be specified.", field="event_trigger.pubsub_topic")
    if kind.startswith(FIRESTORE_EVENT):
        missing = {"database", "document"} - filters.keys()
        if missing:
            raise invalid(f"The event filter {min(missing)} is missing.", field="event_trigger.event_filters")
    for name, each in filters.items():
        if "{" in str(each.get("value")) and each.get("operator") != "match-path-pattern":
            raise invalid(
                f"The filter {name} has a pattern, but its operator is not match-path-pattern.", field="event_filters"
            )
