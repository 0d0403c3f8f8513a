"""Embeddings without a hold: one charge of the reported usage, before the delivery, and the most that may be lost."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.ai.models.prompt import Prompt
from shared.ai.openai.embeddings import Embeddings
from shared.ai.openai.passthrough import Passthroughs
from shared.ai.ports import DEFAULT_UPSTREAM
from shared.kernel.documents import Query
from shared.kernel.errors import DomainError
from shared.kernel.ids import HoldId, OperationId, new_id
from shared.kernel.money import Micro
from shared.ledger.commands import BudgetClaim, Charge, Freeze, PlaceHold, RateLimit
from shared.ledger.errors import AccountFrozen, BudgetExceeded, InsufficientCredits, RateLimited
from shared.ledger.losses import SECOND_LIMITS
from shared.platform.memory.passthrough import ScriptedPassthrough, embeddings
from shared.sagas.metering.direct_charges import DIRECT_PART, TRUST_SECONDS, DirectCharge, DirectCharges
from shared.sagas.metering.plan import CallRequest, Forecast, MeteredPlan
from shared.sagas.openai.call import OpenAIAnswer
from tests.support.adapters import replace_adapters
from tests.support.chat import ANN, CREDIT
from tests.support.openai import OpenAIBackend

EMBEDDER = {"kind": "embedding", "input_usd_per_mtok": "1", "context_window": 8_000}
"""A model whose token costs 100 µcr."""
COST = 500
KEY = "key:key_1"
ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Meanwhile(ScriptedPassthrough):
    """An upstream during whose answer something else happens, once."""

    happens: Callable[[], Any] | None = field(default=None)

    def ask(self, path: str, body: Any, end_user: str = "") -> Any:
        happens, self.happens = self.happens, None
        if happens is not None:
            happens()
        return ScriptedPassthrough.ask(self, path, body, end_user)


@pytest.fixture
def backend() -> OpenAIBackend:
    return backend_with(CREDIT)


def backend_with(credits_: int, **world: Any) -> OpenAIBackend:
    backend = OpenAIBackend(**world)
    backend.upstream = Meanwhile(scripts={"/embeddings": [embeddings()]})
    backend.call = backend.on(backend.world.documents)
    backend.world.catalogue.put("cheap", EMBEDDER)
    backend.world.user(credits_)
    return backend


def upstream_of(backend: OpenAIBackend) -> Meanwhile:
    assert isinstance(backend.upstream, Meanwhile)
    return backend.upstream


def embed(backend: OpenAIBackend, **more: Any) -> OpenAIAnswer:
    return backend.ask(dialect=Embeddings(), is_streamed=False, input="Hello", **more)


def kinds(backend: OpenAIBackend) -> list[str]:
    """The kinds of all entries after the grant."""
    return [entry.kind for entry in backend.world.ledger.entries(ANN, 2, 1_000)]


def borne(backend: OpenAIBackend, cause: Any = "charge_refused") -> tuple[int, int]:
    total = backend.world.losses.window(ANN).of(cause)
    return total.count, total.amount


def spend(backend: OpenAIBackend, amount: int) -> None:
    charge = Charge(operation=OperationId(new_id("op")), amount=Micro(amount), purpose="chat")
    backend.world.instance(backend.world.documents).credits.ledger.execute(ANN, charge)


# ── one charge ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_embedding_is_one_charge_of_the_reported_usage(backend):
    answered = embed(backend)

    assert (kinds(backend), answered.cost, answered.available) == (["charge"], COST, CREDIT - COST)
    assert answered.answer["credits"]["cost"] == "0.0005"
    assert backend.world.ledger.entry(ANN, 2).usage == {"input_tokens": 5, "output_tokens": 0}
    assert backend.world.ledger.verify(ANN) == []


def test_an_embedding_leaves_one_entry_and_no_other_document(backend):
    embed(backend)

    left = {
        kind: len(backend.world.documents.query(Query(collection=f"accounts/{ANN}/{kind}", limit=9)))
        for kind in ("entries", "operations", "holds")
    }
    assert left == {"entries": 2, "operations": 1, "holds": 0}, "the grant's entry and record, and the charge's entry"


def test_an_embedding_with_a_key_holds_credits(backend):
    embed(backend, key="k")

    assert kinds(backend) == ["hold", "charge"]


def test_an_embedding_that_is_streamed_holds_credits(backend):
    list(backend.call.run(_with(backend, is_streamed=True)))

    assert kinds(backend) == ["hold", "charge"]


def test_a_chat_completion_holds_credits_however_cheap():
    backend = OpenAIBackend()
    backend.world.user(100 * CREDIT)
    backend.ask(is_streamed=False, max_tokens=1)

    assert kinds(backend) == ["hold", "charge"]


def test_a_failed_embedding_costs_nothing_and_leaves_nothing(backend):
    backend.upstream.scripts["/embeddings"] = [[{"error": {"message": "no", "code": "x"}}]]

    with pytest.raises(DomainError):
        embed(backend)

    assert kinds(backend) == []
    assert backend.world.ledger.balance(ANN).available == CREDIT


# ── the door ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def bound_of(backend: OpenAIBackend) -> int:
    """The most that one of these calls can cost (µcr), as its hold has it."""
    embed(backend, key=new_id("k"))
    [*_, last] = [entry for entry in backend.world.ledger.entries(ANN, 1, 1_000) if entry.kind == "hold"]
    return sum(posting["amount"] for posting in last.postings)


BOUND = bound_of(backend_with(CREDIT))


@pytest.mark.parametrize(("credits_", "expected"), [(DIRECT_PART * BOUND, ["charge"]), (DIRECT_PART * BOUND - 1, None)])
def test_a_call_holds_credits_unless_its_bound_is_a_small_part_of_the_balance(credits_, expected):
    backend = backend_with(credits_)
    embed(backend)

    assert kinds(backend) == (expected or ["hold", "charge"])


@pytest.mark.parametrize(("limit", "expected"), [(DIRECT_PART * BOUND, 1), (DIRECT_PART * BOUND - 1, 2)])
def test_a_call_holds_credits_unless_its_bound_is_a_small_part_of_the_cap(backend, limit, expected):
    budgets = (BudgetClaim(id="cap", limit=Micro(limit)),)
    list(backend.call.run(_with(backend, principal=KEY, budgets=budgets)))

    assert len(kinds(backend)) == expected
    assert backend.world.ledger.budgets(ANN)["cap"].used == COST


def test_open_calls_leave_less_room_for_direct_charges():
    backend = backend_with(DIRECT_PART * BOUND + 10)
    hold = PlaceHold(
        operation=OperationId("op"), amount=Micro(11), hold=HoldId("h"), purpose="chat", lifetime=60_000, principal="me"
    )
    backend.world.ledger.execute(ANN, hold)
    embed(backend)

    assert kinds(backend) == ["hold", "hold", "charge"]


def test_calls_under_way_on_one_instance_share_the_part():
    backend = backend_with(3 * DIRECT_PART * BOUND)
    for _ in range(4):
        _also(backend)
    embed(backend)

    assert sorted(kinds(backend)) == ["charge"] * 5 + ["hold"] * 2


def test_an_ended_call_gives_its_share_back():
    backend = backend_with(DIRECT_PART * BOUND + 100 * COST)
    for _ in range(20):
        embed(backend)

    assert kinds(backend) == ["charge"] * 20


def test_a_frozen_account_asks_no_provider(backend):
    backend.world.ledger.execute(ANN, Freeze(operation=OperationId("f")))

    with pytest.raises(AccountFrozen):
        embed(backend)

    assert backend.upstream.requests == []


def test_the_rate_limit_counts_calls_under_way():
    backend = limited(burst=3)

    def one_more() -> None:
        with pytest.raises(RateLimited) as refusal:
            embed(backend)
        assert refusal.value.params == {"retry_after_ms": 1_000}

    upstream_of(backend).happens = one_more
    for _ in range(2):
        _also(backend)
    embed(backend)

    assert kinds(backend) == ["charge"] * 3


def test_calls_elsewhere_overshoot_the_rate_limit_and_are_paid_for_later():
    """Another instance used the limit up during the call: the charge is made, and the next calls wait longer."""
    backend = limited(burst=2)
    other = limited(burst=2, on=backend)
    upstream_of(backend).happens = lambda: [embed(other), embed(other)]
    embed(backend)

    with pytest.raises(RateLimited) as refusal:
        embed(backend)

    assert [kind for kind in kinds(backend) if kind != "grant"] == ["charge"] * 3
    assert refusal.value.params["retry_after_ms"] == 2_000


def limited(*, burst: int, on: OpenAIBackend | None = None) -> OpenAIBackend:
    """A backend whose users may make 60 calls a minute, and `burst` at once."""
    backend = backend_with(100 * CREDIT, **({"documents": on.world.documents, "clock": on.world.clock} if on else {}))
    ledger = backend.world.ledger_on(backend.world.documents, rate=RateLimit(per_minute=60, burst=burst))
    services = backend.world.instance(backend.world.documents, ledger)
    replace_adapters(services, passthroughs=Passthroughs({DEFAULT_UPSTREAM: backend.upstream}))
    backend.call = services.openai.call
    return backend


def _with(backend: OpenAIBackend, **more: Any) -> Any:
    return replace(backend.request(dialect=Embeddings(), is_streamed=False, input="Hello"), **more)


def _also(backend: OpenAIBackend) -> None:
    """Let one more call be made while the call before waits for its answer."""
    inner = upstream_of(backend).happens

    def happens() -> None:
        upstream_of(backend).happens = inner
        embed(backend)

    upstream_of(backend).happens = happens


# ── refused charges ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_whose_credits_are_spent_meanwhile_delivers_nothing(backend):
    upstream_of(backend).happens = lambda: spend(backend, CREDIT - COST + 1)

    with pytest.raises(InsufficientCredits):
        embed(backend)

    assert (kinds(backend), borne(backend)) == (["charge"], (1, COST))
    assert backend.world.ledger.balance(ANN).available == COST - 1


def test_a_call_whose_account_is_frozen_meanwhile_delivers_nothing(backend):
    other = backend.world.instance(backend.world.documents).credits.ledger
    upstream_of(backend).happens = lambda: other.execute(ANN, Freeze(operation=OperationId("f")))

    with pytest.raises(AccountFrozen):
        embed(backend)

    assert (kinds(backend), borne(backend)) == (["status"], (1, COST))


def test_a_cap_is_kept_although_another_instance_uses_it_up_meanwhile(backend):
    cap = BudgetClaim(id="cap", limit=Micro(DIRECT_PART * BOUND))
    other = backend.world.instance(backend.world.documents).credits.ledger
    charge = Charge(operation=OperationId("op"), amount=Micro(cap.limit - COST + 1), purpose="chat", budgets=(cap,))
    upstream_of(backend).happens = lambda: other.execute(ANN, charge)

    with pytest.raises(BudgetExceeded):
        list(backend.call.run(_with(backend, principal=KEY, budgets=(cap,))))

    assert backend.world.losses.window(ANN).of("charge_refused", KEY).count == 1
    assert backend.world.ledger.budgets(ANN)["cap"].used == cap.limit - COST + 1


def test_an_unexpected_end_after_the_provider_was_asked_counts_as_crashed(backend):
    def surprise() -> None:
        raise RuntimeError

    upstream_of(backend).happens = surprise

    with pytest.raises(RuntimeError):
        embed(backend)

    assert borne(backend, "crashed") == (1, 0)
    embed(backend)
    assert kinds(backend) == ["charge"]


# ── the worst loss ───────────────────────────────────────────────────────────────────────────────────────────────────


def instances_max() -> int:
    """The most instances of the API that the project runs."""
    functions = yaml.safe_load((ROOT / "functions.yaml").read_text(encoding="utf-8"))["endpoints"]
    return int(functions["api"]["maxInstances"])


def doors(backend: OpenAIBackend, count: int) -> list[DirectCharges]:
    """The doors of this number of instances."""
    world = backend.world
    return [DirectCharges(world.ledger_on(world.documents), world.losses, world.clock) for _ in range(count)]


def plan(backend: OpenAIBackend) -> MeteredPlan:
    model = backend.world.catalogue.of_kind("embedding", "cheap")
    prompt = Prompt(messages=(), input_expected=5, input_at_most=10, output_at_most=0)
    request = CallRequest(uid=ANN, operation=OperationId("o"), has_key=False, max_output_tokens=0, is_streamed=False)
    rate, guess = backend.world.tariff.rate(model), Forecast(output_tokens=0, is_guess=False)
    return MeteredPlan(request=request, model=model, rate=rate, prompt=prompt, forecast=guess)


def begun(door: DirectCharges, backend: OpenAIBackend) -> list[DirectCharge]:
    """As many calls as this instance admits at once."""
    found, planned = list[DirectCharge](), plan(backend)
    while (call := door.begin(planned, OperationId(new_id("op")), (), ())) is not None:
        found.append(call)
    return found


def refused(call: DirectCharge) -> bool:
    try:
        call.capture(call.held)
    except InsufficientCredits:
        return True
    return False


def test_all_instances_together_admit_half_of_the_free_credits_at_most():
    backend = backend_with(CREDIT)
    calls = [call for door in doors(backend, instances_max()) for call in begun(door, backend)]

    assert len(calls) == instances_max() * 10
    assert sum(call.held for call in calls) <= CREDIT // 2
    assert [refused(call) for call in calls] == [False] * len(calls)


def test_the_most_that_a_hostile_user_can_make_the_platform_lose():
    """Calls on every instance at once, and the credits are spent before the first charge: half of them, once a week."""
    backend = backend_with(CREDIT)
    open_doors = doors(backend, instances_max())
    calls = [call for door in open_doors for call in begun(door, backend)]
    spend(backend, CREDIT)
    assert all(refused(call) for call in calls)
    backend.world.user(100 * CREDIT)

    assert borne(backend)[1] <= CREDIT // 2
    assert [begun(door, backend) for door in open_doors] == [[]] * instances_max()
    assert [begun(door, backend) for door in doors(backend, 1)] == [[]]


def test_an_instance_learns_of_losses_elsewhere_within_its_memory():
    backend = backend_with(CREDIT)
    here, there = doors(backend, 2)
    assert begun(here, backend)[0].capture(Micro(1)).amount == 1
    for call in _refusals(backend, there):
        assert refused(call)
    backend.world.user(100 * CREDIT)
    backend.world.clock.advance(int(TRUST_SECONDS * 1_000) + 1)

    assert begun(here, backend) == []


def _refusals(backend: OpenAIBackend, door: DirectCharges) -> list[DirectCharge]:
    """More calls than the platform bears, whose credits are gone."""
    calls = begun(door, backend)
    assert sum(call.held for call in calls) < SECOND_LIMITS["charge_refused"].amount
    again = doors(backend, 1)[0]
    calls += begun(again, backend)
    spend(backend, backend.world.ledger.balance(ANN).available)
    return calls
