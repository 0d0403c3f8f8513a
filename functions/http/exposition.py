"""Metrics as text: Prometheus 0.0.4 and OpenMetrics 1.0.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from shared.kernel.meters import Labels, Meter, TimeMeter

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
ESCAPED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def metrics_text(meters: Iterable[Meter], *, is_openmetrics: bool) -> str:
    """Return the numbers of all meters that have any."""
    lines = [line for meter in meters for line in _meter_lines(meter, is_openmetrics=is_openmetrics)]
    return "".join(f"{line}\n" for line in (*lines, *(["# EOF"] if is_openmetrics else [])))


def _meter_lines(meter: Meter, *, is_openmetrics: bool) -> list[str]:
    """Return the lines of one meter, none if it has no numbers. Only OpenMetrics names a counter without `_total`."""
    samples = list(_samples(meter))
    if not samples:
        return []
    is_total = meter.kind == "counter" and not is_openmetrics
    name = f"{meter.name}_total" if is_total else meter.name
    return [f"# HELP {name} {meter.meaning}", f"# TYPE {name} {meter.kind}", *samples]


def _samples(meter: Meter) -> Iterator[str]:
    if isinstance(meter, TimeMeter):
        for labels, counts, total in meter.counts():
            yield from _buckets(meter, labels, counts)
            yield _sample(f"{meter.name}_sum", meter.label_names, labels, total)
            yield _sample(f"{meter.name}_count", meter.label_names, labels, sum(counts))
        return
    name = f"{meter.name}_total" if meter.kind == "counter" else meter.name
    for labels, number in meter.values():
        yield _sample(name, meter.label_names, labels, number)


def _buckets(meter: TimeMeter, labels: Labels, counts: Sequence[int]) -> Iterator[str]:
    bounds = [*(str(float(bound)) for bound in meter.bounds), "+Inf"]
    for bound, count in zip(bounds, accumulate(counts), strict=True):
        yield _sample(f"{meter.name}_bucket", (*meter.label_names, "le"), (*labels, bound), count)


def _sample(name: str, names: Sequence[str], labels: Labels, number: float) -> str:
    told = ",".join(f'{each}="{label.translate(ESCAPED)}"' for each, label in zip(names, labels, strict=True))
    return f"{name}{{{told}}} {_number(number)}" if told else f"{name} {_number(number)}"


def _number(number: float) -> str:
    """Return whole numbers without a point, and all others with at most nine digits behind the point."""
    return str(int(number)) if number == int(number) else f"{number:.9f}".rstrip("0")
