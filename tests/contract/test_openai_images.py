"""The adapter that paints, against a stand-in with OpenAI's shapes on loopback; its twin in memory beside it."""

import base64
import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.ai.agents.web import FetchFailed
from shared.ai.pictures import PICTURE_BYTES_MAX, NoPicture
from shared.ai.ports import ImageRequest, UpstreamMisconfigured, UpstreamRejected, UpstreamTimedOut, UpstreamUnavailable
from shared.platform.memory.image_model import ScriptedImageModel, png
from shared.platform.openai.images import OpenAIImageModel
from shared.platform.openai.upstream import OpenAIUpstream

ASK = ImageRequest(model="gpt-image-1", prompt="A fox in the snow", size="96x64")
SMALL = base64.b64encode(png(8, 8)).decode()


@pytest.fixture
def painter_at():
    """Painters of any upstream, closed behind the test."""
    made = []

    def make(url, **options):
        made.append(OpenAIImageModel(OpenAIUpstream(base_url=url, api_key="sk-test"), **options))
        return made[-1]

    yield make
    for painter in made:
        painter.close()


@pytest.fixture
def model(upstream, painter_at):
    return painter_at(f"{upstream.url}/v1")


@contextmanager
def serving(answer):
    """A server of one answer: `answer(handler)` writes it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, *_):
            pass

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            answer(self)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("name", ["upstream", "memory"])
def test_a_picture_comes_whole_with_its_type(name, request):
    painter = ScriptedImageModel() if name == "memory" else request.getfixturevalue("model")

    picture = painter.generate(ASK)

    assert picture.content_type == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    assert picture.width >= 4


@pytest.mark.parametrize("name", ["upstream", "memory"])
def test_a_refusal_is_a_refusal_whoever_paints(name, request, upstream):
    if name == "memory":
        painter = ScriptedImageModel([UpstreamRejected()])
    else:
        painter = request.getfixturevalue("model")
        upstream.script(error={"status": 400, "code": "content_policy_violation", "message": "no"})

    with pytest.raises(UpstreamRejected):
        painter.generate(ASK)


@pytest.mark.parametrize("name", ["upstream", "memory"])
def test_what_is_no_picture_is_refused_whoever_paints(name, request, upstream):
    if name == "memory":
        painter = ScriptedImageModel([b"<svg/>"])
    else:
        painter = request.getfixturevalue("model")
        upstream.script(b64_json=base64.b64encode(b"<svg/>").decode())

    with pytest.raises(NoPicture):
        painter.generate(ASK)


def test_what_is_asked_reaches_the_upstream(upstream, model):
    picture = model.generate(ASK)

    (seen,) = upstream.requests
    assert seen["path"] == "/v1/images/generations"
    assert seen["body"] == {"model": "gpt-image-1", "prompt": "A fox in the snow", "size": "96x64", "n": 1}
    assert (picture.width, picture.height) == (96, 64)


def test_models_that_answer_with_addresses_are_asked_for_the_picture(upstream, model):
    model.generate(ImageRequest(model="dall-e-3", prompt="A fox", size="64x64", wants_base64=True))

    assert upstream.requests[0]["body"]["response_format"] == "b64_json"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (302, UpstreamUnavailable),
        (400, UpstreamRejected),
        (403, UpstreamMisconfigured),
        (408, UpstreamUnavailable),
        (429, UpstreamUnavailable),
        (500, UpstreamUnavailable),
    ],
)
def test_an_error_is_typed_and_never_tried_twice(upstream, model, status, error):
    upstream.script(error={"status": status, "message": "no"}, times=0)

    with pytest.raises(error):
        model.generate(ASK)

    assert len(upstream.requests) == 1


@pytest.mark.parametrize("text", ["not base64!", "", SMALL[:-8], "ａｂｃｄ", 7, None, ["x"]])
def test_what_is_no_picture_in_base64_is_refused(upstream, model, text):
    upstream.script(b64_json=text)

    with pytest.raises(NoPicture):
        model.generate(ASK)


@pytest.mark.parametrize(
    "text",
    [
        SMALL[:30] + "\n" + SMALL[30:] + "\r\n",
        "data:image/png;base64," + SMALL,
        "data:image/png;charset=utf-8;base64," + SMALL,
    ],
)
def test_picture_is_read_from_broken_lines_and_data_urls(upstream, model, text):
    upstream.script(b64_json=text)

    picture = model.generate(ASK)

    assert (picture.width, picture.height) == (8, 8)


URL_SAFE = SMALL.replace("+", "-").replace("/", "_").rstrip("=")
AT = {"url": f"data:image/png;base64,{SMALL}"}


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [{"b64_json": URL_SAFE}]},
        {"data": [{"b64_json": None, "url": AT["url"]}]},
        {"data": [{"image_url": AT}]},
        {"data": [SMALL]},
        {"images": [AT]},
        {"output": [{"base64": SMALL}]},
        {"image": SMALL},
    ],
    ids=["url-safe", "null beside", "nested", "bare", "images", "output", "alone"],
)
def test_picture_is_found_in_each_form(painter_at, answer):
    def tell(handler):
        raw = json.dumps(answer).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    with serving(tell) as url:
        assert painter_at(url).generate(ASK).content == png(8, 8)


def test_picture_is_read_from_a_data_url_in_place_of_an_address(upstream, model):
    upstream.script(url="data:image/png;base64," + SMALL)

    assert model.generate(ASK).width == 8


class FileHost:
    """A public host with one picture."""

    def __init__(self):
        self.asked: list[str] = []

    def fetch_file(self, url, bytes_max):
        self.asked.append(url)
        if "gone" in url:
            raise FetchFailed("http_status", "The host answered with status 404.")
        return png(8, 8)


def test_picture_is_fetched_from_the_providers_file_host(upstream, painter_at):
    files = FileHost()
    upstream.script(url="https://files.example.com/private/p.png?sig=x")

    picture = painter_at(f"{upstream.url}/v1", files=files).generate(ASK)

    assert (picture.width, files.asked) == (8, ["https://files.example.com/private/p.png?sig=x"])


@pytest.mark.parametrize("address", ["https://files.example.com/gone.png", "http://files.example.com/p.png"])
def test_picture_that_cannot_be_fetched_is_none(upstream, painter_at, address):
    upstream.script(url=address)

    with pytest.raises(NoPicture):
        painter_at(f"{upstream.url}/v1", files=FileHost()).generate(ASK)


def test_an_address_of_the_upstreams_own_is_fetched(upstream, model):
    upstream.script(url="own")

    picture = model.generate(ASK)

    assert (picture.width, picture.height) == (64, 64)


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/computeMetadata/v1/",
        "http://127.0.0.1:1/picture.png",
        "http://[::ffff:127.0.0.1]/picture.png",
        "https://pictures.example.com/p.png",
        "file:///etc/passwd",
        "ftp://127.0.0.1/p.png",
        "http://127.0.0.1:99999/p.png",
        "http:///p.png",
        "//{host}/p.png",
        "http://user@{host}/__/pictures/1.png",
        "https://{host}/__/pictures/1.png",
        "http://{host}.evil.example/p.png",
        "http://evil.example#{host}",
        "",
    ],
)
def test_an_address_anywhere_else_is_never_asked(upstream, model, address):
    upstream.script(url=address.replace("{host}", upstream.url.removeprefix("http://")))

    with pytest.raises(NoPicture):
        model.generate(ASK)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"data": []}', b'{"data": {}}', b'{"data": ["x"]}', b"{", b"[" * 100_000, b"\xff"]
)
def test_an_answer_that_makes_no_sense_is_typed(body, painter_at):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with serving(answer) as url, pytest.raises((NoPicture, UpstreamUnavailable)):
        painter_at(url).generate(ASK)


def test_an_answer_without_an_end_is_read_to_its_limit_only(painter_at):
    sent: list[int] = []

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.end_headers()
        try:
            while len(sent) * 65_536 < 20 * PICTURE_BYTES_MAX:
                handler.wfile.write(b"x" * 65_536)
                sent.append(1)
        except OSError:
            return

    with serving(answer) as url, pytest.raises(NoPicture, match="larger"):
        painter_at(url).generate(ASK)

    assert len(sent) * 65_536 < 4 * PICTURE_BYTES_MAX


def test_an_answer_that_drips_ends_when_its_time_is_up(painter_at):
    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(3_000):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                threading.Event().wait(0.1)
        except OSError:
            return

    with serving(answer) as url:
        began = time.monotonic()
        with pytest.raises(UpstreamTimedOut):
            painter_at(url, seconds=0.5).generate(ASK)

        assert time.monotonic() - began < 120


def test_an_upstream_that_is_silent_ends_when_its_time_is_up(upstream, painter_at):
    upstream.script(delay_ms=600_000)

    with pytest.raises(UpstreamTimedOut):
        painter_at(f"{upstream.url}/v1", seconds=0.3).generate(ASK)


def test_nothing_waits_any_more_for_a_call_that_ended_in_time(upstream, painter_at):
    painter_at(f"{upstream.url}/v1", seconds=600).generate(ASK)

    for timer in (thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)):
        timer.join(60)
        assert not timer.is_alive(), "it would still wait for ten minutes"


def test_nobody_there_is_unavailable(painter_at):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))

        with pytest.raises(UpstreamUnavailable):
            painter_at(f"http://127.0.0.1:{free.getsockname()[1]}/v1").generate(ASK)


def test_http_client_is_imported_by_the_first_call_only():
    code = (
        "import sys; from shared.platform.openai.images import OpenAIImageModel as M;"
        "from shared.platform.openai.upstream import OpenAIUpstream as U;"
        "M(U(base_url='http://x/v1', api_key='k'));"
        "print([name for name in ('openai', 'httpx2', 'pydantic') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
