from datetime import date
from fractions import Fraction

import pytest

from functions.commands import main
from shared.bootstrap import Services, in_memory
from shared.kernel.documents import Create
from shared.kernel.ids import OperationId, Uid
from shared.ledger.analytics import day_path
from shared.ledger.usage import day_of
from shared.payments.chains.index_table import WalletKey
from shared.payments.ports import Notice
from shared.platform.addresses.by_coincurve import CoincurveDerivation
from shared.platform.memory.documents import MemoryDocuments
from shared.platform.memory.identity import MemoryIdentity
from shared.platform.memory.listing import MemoryListing
from shared.platform.memory.payments import MemoryProvider
from shared.sagas.payments.checkout import PackageOrder
from tests.support.keys import TAPROOT_XPUB, VECTORS, ZPUB, summed
from tests.support.ledgers import grant
from tests.support.shop import BONUS, CREDITS, PACKAGE


def identity(services: Services) -> MemoryIdentity:
    found = services.ports.identity()
    assert isinstance(found, MemoryIdentity)
    return found


def test_the_first_admin_is_made_from_the_command_line(capsys: pytest.CaptureFixture[str]):
    services = in_memory()
    uid = identity(services).sign_up("ann@example.com", is_email_verified=False)

    code = main(["first-admin", "ann@example.com"], services)

    assert code == 0
    assert set(services.ports.identity().get_user(uid).roles) == {"admin"}
    assert "ann@example.com" in capsys.readouterr().out
    assert [record.actor for record in services.operators.audit(None, 5).items] == ["command:first-admin"]


def test_a_second_admin_needs_force(capsys: pytest.CaptureFixture[str]):
    services = in_memory()
    for name in ("ann", "bob"):
        identity(services).sign_up(f"{name}@example.com")
    main(["first-admin", "ann@example.com"], services)

    refused = main(["first-admin", "bob@example.com"], services)
    forced = main(["first-admin", "bob@example.com", "--force"], services)

    assert (refused, forced) == (1, 0)
    assert "admin_exists" in capsys.readouterr().err


def test_an_unverified_address_is_enough_on_a_laptop_only(capsys: pytest.CaptureFixture[str]):
    services = in_memory({"FIRESTORE_EMULATOR_HOST": ""})
    identity(services).sign_up("ann@example.com", is_email_verified=False)

    code = main(["first-admin", "ann@example.com"], services)

    assert code == 1
    assert "email_not_verified" in capsys.readouterr().err


def test_nobody_is_no_admin(capsys: pytest.CaptureFixture[str]):
    code = main(["first-admin", "nobody@example.com"], in_memory())

    assert code == 1
    assert "user_not_found" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["first-admin"], ["last-admin", "x"], ["rebuild-analytics"], ["rebuild-analytics", "u", "--all"]]
)
def test_what_is_no_command_is_told(arguments: list[str]):
    with pytest.raises(SystemExit):
        main(arguments, in_memory())


def test_usage_is_projected_anew_for_everybody_or_for_some(capsys: pytest.CaptureFixture[str]):
    services = in_memory()
    for name in ("ann", "bob"):
        services.credits.ledger.execute(Uid(name), grant("g", 5))
        services.ports.documents().commit(
            [Create(day_path(Uid(name), "2020-01-01"), {"uid": name, "v": 1, "state": "{}"})]
        )

    codes = [main(["rebuild-analytics", "--all"], services), main(["rebuild-analytics", "bob", "ann"], services)]

    assert codes == [0, 0]
    assert capsys.readouterr().out.splitlines() == [f"{name}: 1 entries" for name in ("ann", "bob", "bob", "ann")]
    assert services.ports.documents().get(day_path(Uid("ann"), "2020-01-01")) is None


def test_figures_are_counted_again_by_command(capsys: pytest.CaptureFixture[str]):
    services = in_memory()
    services.credits.ledger.execute(Uid("ann"), grant("g", 5))
    services.jobs.run_schedule("every_minute")
    today = date.fromisoformat(day_of(services.clock.now()))
    before = services.credits.figures.days(today, today)

    code = main(["rebuild-books"], services)

    assert code == 0
    assert capsys.readouterr().out.splitlines()[-1] == "All entries of the log are counted."
    assert before.is_whole
    assert before.days
    assert services.credits.figures.days(today, today) == before


def test_a_providers_models_are_shown_and_written_only_when_asked(capsys: pytest.CaptureFixture[str]):
    services = in_memory()
    listing = services.models.sync._listing
    assert isinstance(listing, MemoryListing)
    priced = {"pricing": {"prompt": "0.000001", "completion": "0.000002"}, "context_length": 8_000}
    listing.by_upstream["default"] = [{"id": "a", **priced}, {"id": "unpriced", "context_length": 8_000}]

    shown = main(["models-sync"], services)
    before = services.models.catalogue.enabled()
    applied = main(["models-sync", "--apply"], services)
    again = main(["models-sync"], services)

    assert (shown, applied, again, before) == (0, 0, 0, [])
    assert [(model.id, model.input_usd_per_mtok) for model in services.models.catalogue.enabled()] == [
        ("a", Fraction(1))
    ]
    assert [record.actor for record in services.operators.audit(None, 5).items] == ["command:models-sync"]
    told = capsys.readouterr().out
    assert "left out   unpriced: it has no price" in told
    assert told.count("new        a") == 2
    assert told.endswith("0 to write, 1 as they are, 1 left out. Nothing is written without --apply.\n")


def begun(services: Services) -> str:
    """A payment that waits for its user."""
    services.payments.packages.put("small", PACKAGE)
    wanted = PackageOrder(
        uid=Uid("ann"),
        package="small",
        provider="stripe",
        flow="redirect",
        success_url="https://app.example/",
        cancel_url="https://app.example/",
    )
    return services.payments.checkouts.begin_checkout(wanted, OperationId("op_1"), "f").id


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the command said, without the log."""
    return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("{")]


def stripe(services: Services) -> MemoryProvider:
    provider = services.ports.payment_providers()["stripe"]
    assert isinstance(provider, MemoryProvider)
    return provider


def test_a_payment_is_settled_anew_from_what_its_provider_says_now(capsys: pytest.CaptureFixture[str]):
    services = in_memory()
    payment = begun(services)
    stripe(services).approve(payment)
    waiting = services.credits.ledger.balance(Uid("ann")).available

    codes = [main(["replay-payment", payment], services) for _ in range(2)]

    assert codes == [0, 0]
    assert said(capsys) == [f"{payment} is settled."] * 2
    assert (waiting, services.credits.ledger.balance(Uid("ann")).available) == (0, CREDITS + BONUS)
    assert {record.actor for record in services.operators.audit(None, 5).items} == {"command:replay-payment"}


def test_a_notice_is_dealt_with_anew(capsys: pytest.CaptureFixture[str]):
    services = in_memory()
    payment = begun(services)
    notice = Notice(
        provider="stripe",
        id="evt_1",
        type="checkout.session.completed",
        at=services.clock.now(),
        is_live=False,
        account=None,
        payment=payment,
        refs={},
    )
    services.payments.inbox.store(notice)
    services.payments.notices.handle("stripe:evt_1")
    stripe(services).approve(payment)

    code = main(["replay-notice", "stripe:evt_1"], services)

    assert code == 0
    assert said(capsys) == ["stripe:evt_1 is done."]
    assert services.credits.ledger.balance(Uid("ann")).available == CREDITS + BONUS
    [record] = services.operators.audit(None, 5).items
    assert (record.actor, record.target) == ("command:replay-notice", "stripe:evt_1")


@pytest.mark.parametrize(
    ("command", "problem"), [("replay-payment", "payment_not_found"), ("replay-notice", "notice_not_found")]
)
def test_what_was_never_heard_of_is_not_replayed(command: str, problem: str, capsys: pytest.CaptureFixture[str]):
    services = in_memory()

    code = main([command, "stripe:nothing"], services)

    assert code == 1
    assert problem in capsys.readouterr().err
    assert services.operators.audit(None, 5).items == ()


def test_models_sync_reads_another_listing_from_a_file(tmp_path, capsys):
    listed = tmp_path / "prices.json"
    listed.write_text('{"vectors": {"mode": "embedding", "input_cost_per_token": 2e-08, "output_cost_per_token": 0.0}}')

    assert main(["models-sync", "--listing", str(listed)], in_memory()) == 0

    assert "left out   vectors: it is no chat model: embedding" in capsys.readouterr().out


def test_models_sync_says_that_a_file_holds_no_listing(tmp_path, capsys):
    listed = tmp_path / "prices.json"
    listed.write_text("[1]")

    assert main(["models-sync", "--listing", str(listed)], in_memory()) == 1

    assert "a JSON listing of models" in capsys.readouterr().err


def test_addresses_are_shown_with_the_gap_limit_of_the_wallet(capsys: pytest.CaptureFixture[str]):
    documents = MemoryDocuments()
    before = in_memory({"BITCOIN_KEY": ZPUB}, documents=documents)
    for _ in range(6):
        before.crypto.indices.take("bitcoin")
    keys = f"{summed(f'tr({TAPROOT_XPUB}/0/*)')},{ZPUB}"
    now = in_memory({"EVM_XPUB": "", "BITCOIN_KEY": keys}, documents=documents)

    assert main(["addresses"], now) == 0

    told = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert told[:2] == ["EVM_XPUB is not set.", "BITCOIN_KEY: new addresses come from this key"]
    assert told[2:4] == [f"0/{step}  {address}" for step, address in enumerate(VECTORS["bip86"]["addresses"])]
    assert told[5:7] == ["No address was taken yet.", "BITCOIN_KEY: an old key, only watched"]
    assert told[7:9] == [f"0/{step}  {address}" for step, address in enumerate(VECTORS["bip84"]["addresses"])]
    assert told[10] == "The highest address taken is 0/5. Set the wallet's gap limit to 6 or more."


def test_addresses_that_disagree_are_not_shown(capsys: pytest.CaptureFixture[str]):
    class Wrong:
        def address(self, key: WalletKey, step: int) -> str:
            return "0x"

    services = in_memory(derivations=(CoincurveDerivation(), Wrong()))

    assert main(["addresses"], services) == 1

    told = capsys.readouterr()
    assert "addresses_disagree" in told.err
    assert "0/0" not in told.out
