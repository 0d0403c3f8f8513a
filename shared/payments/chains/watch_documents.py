"""Memory of the watch as documents: `chain_watch/{network}` for the watch, `chain_looks/{network}` for all callers.

`chain_watch/{network}:{slice}` has the levels of a slice of cold addresses. Levels stand in one text, since a map of
thousands of fields would be indexed field by field. Amounts are decimal strings.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from shared.kernel.clock import Millis
from shared.kernel.documents import Data, Document, Value
from shared.payments.chains.outages import Outage
from shared.payments.chains.ports import AssetName, NetworkName
from shared.payments.chains.watching import KnownBlock, NetworkHealth, TakenSample, WatchState

LevelsByIndex = Mapping[int, Mapping[AssetName, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRecord:
    """Last look at a network, which all callers share.

    `at` is the time when the look began. `reason` says why the network is unavailable; "" if the network is available.
    `outages` move the deadlines of payments. `pages` has the time until which the page of an index counts as open.
    """

    at: Millis = 0
    reason: str = ""
    silent: tuple[AssetName, ...] = ()
    outages: tuple[Outage, ...] = ()
    pages: Mapping[int, Millis] = field(default_factory=dict)


def watch_path(network: NetworkName) -> str:
    """Return the path of the memory of the watch over a network."""
    return f"chain_watch/{network}"


def slice_path(network: NetworkName, number: int) -> str:
    """Return the path of the levels of one slice of cold addresses."""
    return f"chain_watch/{network}:{number}"


def look_path(network: NetworkName) -> str:
    """Return the path of the last look at a network."""
    return f"chain_looks/{network}"


def watch_data(state: WatchState) -> dict[str, Value]:
    """Return the fields of `chain_watch/{network}`."""
    return {
        "blocks": [f"{each.height}:{each.hash}" for each in state.blocks],
        "samples": [f"{each.at}:{each.taken}" for each in state.samples],
        "levels": levels_text(state.levels),
        **followed_data(state.followed),
        "arrived": _text({str(index): height for index, height in state.arrived.items()}),
        "pool": _text({str(index): told for index, told in state.pool.items()}),
        "health": cast("Value", asdict(state.health)),
        "outages": _outages_data(state.outages),
        "silent": list(state.silent),
    }


def followed_data(followed: Mapping[int, Millis]) -> dict[str, Value]:
    """Return the field of `chain_watch/{network}` with the followed indices."""
    return {"followed": _text({str(index): at for index, at in followed.items()})}


def watch_in(document: Document | None) -> WatchState:
    """Return the memory of a watch; that of a new watch if there is no document."""
    if document is None:
        return WatchState()
    stored = cast("Mapping[str, Any]", document.data)
    return WatchState(
        blocks=tuple(KnownBlock(height=int(at), hash=name) for at, name in _pairs(stored["blocks"])),
        samples=tuple(TakenSample(at=int(at), taken=int(taken)) for at, taken in _pairs(stored["samples"])),
        levels=levels_in(stored["levels"]),
        followed={int(index): at for index, at in json.loads(stored["followed"]).items()},
        arrived={int(index): height for index, height in json.loads(stored.get("arrived", "{}")).items()},
        pool={int(index): told for index, told in json.loads(stored["pool"]).items()},
        health=NetworkHealth(**stored["health"]),
        outages=_outages(stored["outages"]),
        silent=tuple(stored["silent"]),
    )


def look_data(record: LookRecord) -> dict[str, Value]:
    """Return the fields of `chain_looks/{network}`."""
    return {**look_result(record.reason, record.silent, record.outages), "at": record.at, "pages": pages(record.pages)}


def look_result(reason: str, silent: Sequence[AssetName], outages: Sequence[Outage]) -> dict[str, Value]:
    """Return the fields of `chain_looks/{network}` that the result of a look decides."""
    return {"reason": reason, "silent": list(silent), "outages": _outages_data(outages)}


def pages(open_until: Mapping[int, Millis]) -> str:
    """Return the open pages as they are stored."""
    return _text({str(index): at for index, at in open_until.items()})


def look_in(document: Document | None) -> LookRecord:
    """Return the last look; that of a network that was never looked at if there is no document."""
    if document is None:
        return LookRecord()
    stored = cast("Mapping[str, Any]", document.data)
    return LookRecord(
        at=stored["at"],
        reason=stored["reason"],
        silent=tuple(stored["silent"]),
        outages=_outages(stored["outages"]),
        pages={int(index): at for index, at in json.loads(stored["pages"]).items()},
    )


def levels_text(levels: LevelsByIndex) -> str:
    """Return levels as one text."""
    return _text({str(index): {asset: str(amount) for asset, amount in of.items()} for index, of in levels.items()})


def levels_in(text: str) -> LevelsByIndex:
    """Return the levels that a text holds."""
    return {int(index): {asset: int(amount) for asset, amount in of.items()} for index, of in json.loads(text).items()}


def slice_levels(document: Document | None) -> LevelsByIndex:
    """Return the levels of a slice of cold addresses; none if the slice was never read."""
    return {} if document is None else levels_in(cast("str", document.data["levels"]))


def slice_data(levels: LevelsByIndex) -> Data:
    """Return the fields of `chain_watch/{network}:{slice}`."""
    return {"levels": levels_text(levels)}


def _text(values: Mapping[str, object]) -> str:
    return json.dumps(values, separators=(",", ":"), sort_keys=True)


def _pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
    return [(first, rest) for first, _, rest in (text.partition(":") for text in texts)]


def _outages_data(outages: Sequence[Outage]) -> list[Value]:
    return [cast("Value", asdict(each)) for each in outages]


def _outages(stored: Sequence[Mapping[str, Any]]) -> tuple[Outage, ...]:
    return tuple(Outage(**each) for each in stored)
