"""Metrics: who may read them, in which form, how many series at most, and what documents cost to read."""

import shutil
import subprocess
from pathlib import Path

import pytest

from functions.http.exposition import OPENMETRICS, PLAIN
from shared.kernel.alert_book import AlertBook
from shared.kernel.clock import MINUTE, SECOND
from shared.kernel.measured import METERS, SERIES_MAX
from shared.kernel.meters import Meter
from tests.api.world import World, problem
from tests.support.ledgers import grant

TOKEN = "scraper-0123456789-0123456789-0123456789"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _fresh_meters():
    for meter in METERS:
        meter.clear()


@pytest.fixture
def scraped():
    return World(env={"METRICS_ACCESS": "token", "METRICS_TOKEN": TOKEN})


def scrape(world, **headers):
    return world.call("GET", "/monitoring/metrics", headers={"Authorization": f"Bearer {TOKEN}", **headers})


def samples(text: str) -> dict[str, str]:
    return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def series(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_the_token_of_scrapers_reads_prometheus_text(scraped):
    told = scrape(scraped)

    assert (told.status_code, told.headers["Content-Type"]) == (200, PLAIN)
    assert samples(told.text)["credits_store_read"] == "1"


def test_openmetrics_comes_only_if_accepted(scraped):
    told = scrape(scraped, Accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")

    assert told.headers["Content-Type"] == OPENMETRICS
    assert told.text.endswith("# EOF\n")
    assert "# EOF" not in scrape(scraped).text


def test_a_wrong_token_opens_nothing(scraped):
    assert problem(scrape(scraped, Authorization=f"Bearer {TOKEN}x")) == (401, "token_invalid")
    assert problem(scraped.call("GET", "/monitoring/metrics")) == (401, "unauthenticated")


def test_the_token_alone_opens_nothing_without_the_setting():
    world = World(env={"METRICS_TOKEN": TOKEN})

    assert problem(scrape(world)) == (401, "token_invalid")


@pytest.mark.parametrize(("role", "status"), [("support", 200), ("auditor", 200), ("admin", 200), (None, 403)])
def test_operators_read_metrics_and_users_do_not(world, role, status):
    person = world.person(*([role] if role else []))

    assert person.get("/monitoring/metrics").status_code == status


def test_an_api_key_of_an_operator_reads_no_metrics(world, admin):
    key = admin.key("read")

    assert problem(key.get("/monitoring/metrics")) == (403, "scope_missing")


def test_requests_and_refusals_are_counted_by_route_and_code(scraped):
    ann = scraped.person(credits_=5)
    ann.get("/credits/balance", buffered=True)
    ann.get("/no/such/path", buffered=True)
    scraped.call("GET", "/credits/balance", buffered=True)
    ann.post("/chat/conversations", {"message": "Hello"}, buffered=True)

    told = samples(scrape(scraped).text)

    assert told['credits_requests_total{route="/v1/credits/balance",status="2xx"}'] == "1"
    assert told['credits_requests_total{route="other",status="4xx"}'] == "1"
    assert told['credits_refusals_total{code="unauthenticated"}'] == "1"
    assert told["credits_failed_sign_ins_total"] == "1"
    assert told['credits_spending_calls_total{outcome="answered"}'] == "1"
    assert told['credits_request_seconds_count{route="/v1/chat/conversations",status="2xx"}'] == "1"
    assert told['credits_posted_total{kind="grant"}'] == "5"
    assert int(told['credits_commits_total{outcome="done"}']) >= 2


def test_documents_tell_lag_jobs_and_alerts(scraped):
    ann = scraped.person()
    scraped.services.jobs.run_schedule("every_minute")
    note_alerts(scraped, 2)
    scraped.services.credits.ledger.execute(ann.uid, grant("late", 5))
    scraped.clock.advance(2 * MINUTE)

    told = samples(scrape(scraped).text)

    assert told["credits_relay_lag_seconds"] == "120"
    assert told['credits_open_alerts{event="payment_parked"}'] == "2"
    assert told['credits_failed_jobs{schedule="every_minute"}'] == "0"
    jobs = {name for name in told if name.startswith("credits_job_end_timestamp_seconds")}
    assert len(jobs) == len(scraped.services.jobs.by_schedule["every_minute"])


def test_a_scrape_reads_ten_documents_at_most_and_none_within_fifteen_seconds(scraped):
    note_alerts(scraped, 20)
    scraped.services.jobs.run_schedule("every_minute")
    read = counted_reads(scraped)

    scrape(scraped)
    first = sum(read)
    scrape(scraped)
    again = sum(read)
    scraped.clock.advance(15 * SECOND)
    scrape(scraped)

    assert 0 < first <= 10
    assert (again, sum(read)) == (first, 2 * first)


def note_alerts(world, number=1):
    book = AlertBook(world.services.ports.documents, world.clock, lambda _, write: write())
    for each in range(number):
        book.note("payment_parked", {"payment": f"p{each}"})


def counted_reads(world) -> list[int]:
    """Documents that are read from now on, by call. A query without a match counts as one."""
    documents, read = world.services.ports.documents(), []
    get, query = documents.get, documents.query

    def counted_get(path):
        read.append(1)
        return get(path)

    def counted_query(asked):
        found = query(asked)
        read.append(max(1, len(found)))
        return found

    documents.get, documents.query = counted_get, counted_query
    return read


def test_no_store_is_told_and_breaks_no_scrape(scraped, monkeypatch):
    from shared.kernel.documents import StoreUnavailable

    def fail(path):
        raise StoreUnavailable

    monkeypatch.setattr(scraped.services.ports.documents(), "get", fail)
    told = samples(scrape(scraped).text)

    assert told["credits_store_read"] == "0"


def test_hostile_paths_models_and_codes_make_five_hundred_series_at_most(scraped):
    ann = scraped.person(credits_=5)
    for number in range(300):
        ann.get(f"/credits/{number}", buffered=True)
        ann.get(f"/monitoring/metrics/{number}?x=ann@example.com", buffered=True)
        scraped.call("GET", f"/images/{number}", buffered=True)
    for number in range(100):
        ann.post(
            "/openai/chat/completions", {"model": f"evil-{number}", "messages": [{"role": "user", "content": "x"}]}
        )
    fill_all()

    told = series(scrape(scraped).text)

    assert len(told) <= SERIES_MAX
    assert [line for line in told if "evil-" in line or "@" in line] == []


def fill_all():
    """Give each meter more labels than it may keep."""
    for meter in METERS:
        for number in range(600):
            labels = [
                f"v{number}" if known is None else [*known, "x"][number % (len(known) + 1)] for known in meter._known
            ]
            meter.note(0.2, *labels) if hasattr(meter, "note") else meter.add(*labels)


def test_the_page_names_every_metric(scraped):
    scraped.services.jobs.run_schedule("every_minute")
    note_alerts(scraped)
    page = (ROOT / "docs/operating/metrics.md").read_text()

    stored = [meter.name for meter in scraped.services.stored_gauges.meters()]

    assert [name for name in (*(meter.name for meter in METERS), *stored) if name not in page] == []


def test_the_bounds_of_all_meters_stay_below_the_limit(scraped):
    meters = (*METERS, *scraped.services.stored_gauges.meters())

    assert sum(meter.series_max for meter in meters) <= SERIES_MAX


@pytest.mark.parametrize("label", ["", "a b", "ann@example.com", "x" * 101, "é", "a\nb"])
def test_a_label_that_is_no_name_is_other(label):
    meter = Meter("m", "A meter.", {"name": None}, most=5)

    meter.add(label)

    assert meter.values() == [(("other",), 1)]


def test_a_meter_never_breaks_its_caller():
    meter = Meter("m", "A meter.", {"name": None}, most=5)

    meter.add()
    meter.add("a", "b")
    meter.add(["unhashable"])  # type: ignore[arg-type]

    assert meter.values() == []


def test_threads_lose_no_count():
    from concurrent.futures import ThreadPoolExecutor

    meter = Meter("m", "A meter.", {"name": None}, most=5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(meter.add, [str(number % 3) for number in range(8_000)]))

    assert sum(number for _, number in meter.values()) == 8_000


def checked(*command: str, given: str = "") -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: see tests/debian.txt")
    done = subprocess.run(["promtool", *command], input=given, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_promtool_accepts_the_metrics(scraped):
    ann = scraped.person(credits_=5)
    ann.post("/chat/conversations", {"message": "Hello"})
    scraped.services.jobs.run_schedule("every_minute")
    fill_all()

    checked("check", "metrics", given=scrape(scraped).text)
