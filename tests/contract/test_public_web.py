"""Reading the public web, against real hostile servers: nothing private is reached, nothing unbounded is read.

Names are resolved by a table of the test's, and a connection to a public address ends at one of its servers; the table
notes every address that was connected to.
"""

import contextlib
import gzip
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.ai.agents.web import FetchFailed, WebPage
from shared.platform.web.fetching import FetchLimits, PublicWeb

PUBLIC = "93.184.216.34"
OTHER = "1.1.1.1"
SECONDS_MAX = 120.0
SMALL = FetchLimits(seconds=SECONDS_MAX, packed_bytes=100_000, unpacked_bytes=200_000)
HASTY = FetchLimits(seconds=1.0)
CHUNKED = "Transfer-Encoding: chunked"

Script = Callable[[socket.socket, bytes], None]


def head(status: str = "200 OK", *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def says(body: bytes, *headers: str, kind: str = "text/plain", status: str = "200 OK") -> Script:
    """A host that answers this and is done."""

    def answer(sock: socket.socket, request: bytes) -> None:
        sock.sendall(head(status, f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers) + body)

    return answer


def redirects(location: str, status: str = "302 Found") -> Script:
    return says(b"", f"Location: {location}", status=status)


def drips(first: bytes, piece: bytes, *, pause: float) -> Script:
    """A host that says a little now and then, for as long as it is listened to."""

    def answer(sock: socket.socket, request: bytes) -> None:
        sock.sendall(first)
        while True:
            if pause:
                threading.Event().wait(pause)
            sock.sendall(piece)

    return answer


def falls_silent(first: bytes) -> Script:
    """A host that begins, and says nothing more for as long as somebody waits for it."""

    def answer(sock: socket.socket, request: bytes) -> None:
        sock.sendall(first)
        sock.recv(1)

    return answer


@dataclass
class Internet:
    """Hosts by address, names by table. A name with several answers gives them one after the other."""

    hosts: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[list[str]]] = field(default_factory=dict)
    connected: list[str] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    def resolve(self, host: str, port: int) -> list[str]:
        if host not in self.names:
            return [host] if host[0].isdigit() else []
        answers = self.names[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.connected.append(address)
        if address not in self.hosts:
            raise ConnectionRefusedError
        return socket.create_connection(("127.0.0.1", self.hosts[address]), seconds)

    def web(self, limits: FetchLimits = SMALL, trust: ssl.SSLContext | None = None) -> PublicWeb:
        return PublicWeb(resolve=self.resolve, connect=self.connect, trust=trust, limits=limits)


def serve(internet: Internet, sock: socket.socket, script: Script, wrap: ssl.SSLContext | None) -> None:
    """One connection: read a request, run the script. Whoever is left in the middle has nothing to say."""
    with contextlib.suppress(OSError), wrap.wrap_socket(sock, server_side=True) if wrap else sock as conn:
        conn.settimeout(SECONDS_MAX)
        request = b""
        while b"\r\n\r\n" not in request and (chunk := conn.recv(4096)):
            request += chunk
        internet.requests.append(request)
        script(conn, request)


@contextmanager
def serving(internet: Internet, script: Script, wrap: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server for as long as the block."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(8) as pool:
        listener.settimeout(0.05)

        def accept() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    pool.submit(serve, internet, listener.accept()[0], script, wrap)

        accepting = pool.submit(accept)
        try:
            yield listener.getsockname()[1]
        finally:
            stop.set()
            accepting.result()


@pytest.fixture
def internet():
    return Internet(names={"example.com": [[PUBLIC]]})


def fetched(internet: Internet, script: Script, url: str = "http://example.com/") -> WebPage:
    with serving(internet, script) as port:
        internet.hosts[PUBLIC] = port
        return internet.web().fetch(url)


def refusal(internet: Internet, script: Script, url: str = "http://example.com/") -> str:
    with pytest.raises(FetchFailed) as failed:
        fetched(internet, script, url)
    return failed.value.code


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_page_is_read_as_text(internet):
    html = (
        "<html><head><title>On  exact\nchange</title><style>p{}</style><script>steal()</script></head><body>"
        "<h1>Exact</h1><p>Two <b>and</b> two<br>is&nbsp;four.</p><template>no</template><ul><li>one<li>two</ul></body>"
    )

    page = fetched(internet, says(html.encode(), kind="text/html; charset=utf-8"))

    assert page == WebPage(
        url="http://example.com/",
        title="On exact change",
        text="Exact\nTwo and two\nis four.\none\ntwo",
        content_type="text/html",
        is_truncated=False,
    )
    assert internet.connected == [PUBLIC]


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b"hello"), "gzip"),
        (zlib.compress(b"hello"), "deflate"),
        (zlib.compress(b"hello")[2:-4], "deflate"),
        (b"hello", "identity"),
    ],
)
def test_a_packed_page_is_unpacked(internet, body, encoding):
    assert fetched(internet, says(body, f"Content-Encoding: {encoding}")).text == "hello"


def test_other_character_sets_are_read_and_dangerous_ones_are_not(internet):
    assert fetched(internet, says("grün".encode("latin-1"), kind="text/plain; charset=ISO-8859-1")).text == "grün"
    assert fetched(internet, says(b"abc-", kind="text/plain; charset=punycode")).text == "abc-"
    assert fetched(internet, says(b"\xff\x00", kind="text/plain; charset=utf-8")).text == "\ufffd\ufffd"


def test_what_is_asked_tells_nothing_of_ours(internet):
    fetched(internet, says(b"x"), "http://example.com/a?b=c")

    (request,) = internet.requests
    lines = request.decode().split("\r\n")
    assert lines[:2] == ["GET /a?b=c HTTP/1.1", "Host: example.com"]
    assert {line.partition(":")[0] for line in lines[1:] if line} == {
        "Host",
        "User-Agent",
        "Accept",
        "Accept-Encoding",
        "Connection",
    }


def test_a_redirect_is_followed_and_named(internet):
    internet.names["www.example.org"] = [[OTHER]]
    with serving(internet, says(b"moved here")) as there, serving(internet, redirects("//www.example.org/new")) as here:
        internet.hosts.update({PUBLIC: here, OTHER: there})
        page = internet.web().fetch("http://example.com/")

    assert (page.url, page.text) == ("http://www.example.org/new", "moved here")


def test_a_redirect_to_a_host_that_was_not_named_is_not_asked(internet):
    internet.names["www.example.org"] = [[OTHER]]
    with serving(internet, says(b"moved here")) as there, serving(internet, redirects("//www.example.org/new")) as here:
        internet.hosts.update({PUBLIC: here, OTHER: there})
        named = frozenset({"example.com", "www.example.org"})
        page = internet.web().fetch("http://example.com/", named)
        with pytest.raises(FetchFailed) as refused:
            internet.web().fetch("http://EXAMPLE.com./", frozenset({"example.com"}))

    assert (page.text, refused.value.code) == ("moved here", "host_not_named")
    assert internet.connected == [PUBLIC, OTHER, PUBLIC]


def test_a_host_that_was_not_named_is_not_even_looked_up(internet):
    with pytest.raises(FetchFailed) as refused:
        internet.web().fetch("http://secret.example.com/", frozenset({"example.com"}))

    assert (refused.value.code, internet.connected) == ("host_not_named", [])


# ── nothing private is reached ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["169.254.169.254"],
        ["10.0.0.8"],
        ["::1"],
        ["fd00:ec2::254"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::a9fe:a9fe"],
        ["2002:7f00:1::"],
        ["0.0.0.0"],
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        [],
    ],
    ids=str,
)
def test_a_name_that_has_a_private_address_is_not_connected_to(internet, addresses):
    internet.names["rebound.example.com"] = [addresses]

    code = refusal(internet, says(b"secret"), "http://rebound.example.com/")

    assert code == ("host_not_public" if addresses else "unreachable")
    assert internet.connected == []


def test_a_name_that_changes_between_check_and_use_is_asked_once(internet):
    internet.names["rebound.example.com"] = [[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]]

    assert fetched(internet, says(b"public"), "http://rebound.example.com/").text == "public"
    assert internet.connected == [PUBLIC]


def test_a_name_that_changes_between_two_redirects_is_checked_again(internet):
    internet.names["rebound.example.com"] = [[PUBLIC], ["127.0.0.1"]]

    code = refusal(internet, redirects("http://rebound.example.com/2"), "http://rebound.example.com/1")

    assert (code, internet.connected) == ("host_not_public", [PUBLIC])


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize(
    ("location", "code"),
    {
        "http://127.0.0.1/": "host_not_public",
        "http://2130706433/": "host_not_public",
        "http://0x7f.1/": "host_not_public",
        "http://[::1]/": "host_not_public",
        "http://[::ffff:169.254.169.254]/": "host_not_public",
        "http://169.254.169.254/latest/meta-data/": "host_not_public",
        "http://metadata.google.internal/": "host_not_public",
        "http://localhost:80/": "host_not_public",
        "//10.0.0.1/": "host_not_public",
        "file:///etc/passwd": "scheme_not_allowed",
        "ftp://example.com/": "scheme_not_allowed",
        "gopher://127.0.0.1:6379/_INFO": "scheme_not_allowed",
        "http://example.com:6379/": "port_not_allowed",
        "http://a:b@example.com/": "bad_url",
        "http://example.com/%0d%0aX": None,
        "http://exa mple.com": "bad_url",
        "http://[::1": "bad_url",
    }.items(),
)
def test_a_redirect_is_a_new_decision(internet, location, code, status):
    if code is None:
        assert refusal(internet, redirects(location, status)) == "too_many_redirects"
    else:
        assert refusal(internet, redirects(location, status)) == code
        assert internet.connected == [PUBLIC]


def test_redirects_end(internet):
    assert refusal(internet, redirects("http://example.com/again")) == "too_many_redirects"
    assert len(internet.connected) == 6


def test_a_redirect_to_nowhere_is_a_failure(internet):
    assert refusal(internet, says(b"", status="302 Found")) == "broken"


def test_a_url_cannot_smuggle_a_header(internet):
    assert refusal(internet, says(b"x"), "http://example.com/\r\nX-Inside: 1") == "bad_url"
    fetched(internet, says(b"x"), "http://example.com/%0d%0aX-Inside:%201")

    assert b"GET /%0d%0aX-Inside:%201 HTTP/1.1" in internet.requests[-1]
    assert b"\r\nX-Inside" not in internet.requests[-1]


# ── nothing unbounded is read ────────────────────────────────────────────────────────────────────────────────────────


def test_a_huge_body_is_cut_at_its_limit(internet):
    endless = drips(head("200 OK", "Content-Type: text/plain"), b"x" * 65_536, pause=0)

    page = fetched(internet, endless)

    assert page.is_truncated
    assert len(page.text) <= SMALL.unpacked_bytes


@pytest.mark.parametrize(
    ("scheme", "script"),
    [
        ("http", drips(head("200 OK", "Content-Type: text/plain"), b"x", pause=0.05)),
        ("http", drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", pause=0.05)),
        ("http", falls_silent(b"HTTP")),
        ("http", drips(head("200 OK", "Content-Type: text/plain", CHUNKED), b"1\r\nx\r\n", pause=0.05)),
        ("https", falls_silent(b"")),
    ],
    ids=["body", "headers", "nothing", "chunks", "handshake"],
)
def test_a_slow_host_is_left_when_the_time_is_up(internet, scheme, script):
    began = time.monotonic()
    with serving(internet, script) as port:
        internet.hosts[PUBLIC] = port
        with pytest.raises(FetchFailed) as failed:
            internet.web(HASTY).fetch(f"{scheme}://example.com/")
        took = time.monotonic() - began

    assert failed.value.code == "too_slow"
    assert took >= HASTY.seconds


def test_endless_headers_are_refused(internet):
    assert refusal(internet, drips(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 60_000, pause=0)) == "broken"


@pytest.mark.parametrize(
    ("bomb", "encoding"),
    [
        (gzip.compress(b"0" * 50_000_000), "gzip"),
        (zlib.compress(b"0" * 50_000_000, 9), "deflate"),
        (gzip.compress(gzip.compress(b"0" * 50_000_000)), "gzip"),
    ],
    ids=["gzip", "deflate", "gzip in gzip"],
)
def test_a_compressed_bomb_goes_off_at_its_limit(internet, bomb, encoding):
    page = fetched(internet, says(bomb, f"Content-Encoding: {encoding}"))

    assert len(page.text) <= SMALL.unpacked_bytes


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip, br", "nonsense"])
def test_a_packing_that_was_not_asked_for_is_refused_unread(internet, encoding):
    assert refusal(internet, says(b"\x00" * 100, f"Content-Encoding: {encoding}")) == "encoding_not_supported"


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b"hello" * 99)[:5] + b"\xff" * 50])
def test_a_broken_packing_is_a_failure(internet, body):
    assert refusal(internet, says(body, "Content-Encoding: gzip")) == "broken"


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "application/pdf", "video/mp4", ""])
def test_what_holds_no_text_is_refused(internet, kind):
    assert refusal(internet, says(b"x", kind=kind)) == "not_text"


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "204 No Content", "206 Partial Content"])
def test_another_status_is_a_failure(internet, status):
    assert refusal(internet, says(b"", status=status)) == "http_status"


HOSTILE_HTML = {
    "deep": b"<div>" * 400_000,
    "tables": b"<table>" * 250_000,
    "misnested": b"<b><p>" * 300_000,
    "fonts": b"".join(b"<font a=%d>" % number for number in range(60_000)) + b"<p>x" * 200_000,
    "comments": b"<!--" * 500_000,
    "attributes": b"<a " + b" ".join(b"a%d" % number for number in range(250_000)),
    "scripts": b"<script>" * 200_000,
    "brackets": b"<" * 2_000_000,
    "entities": b"&" * 2_000_000,
}


@pytest.mark.parametrize("html", HOSTILE_HTML.values(), ids=HOSTILE_HTML.keys())
def test_html_made_to_exhaust_its_reader_is_read_in_bounds(internet, html):
    with serving(internet, says(html, kind="text/html")) as port:
        internet.hosts[PUBLIC] = port
        page = internet.web(FetchLimits(seconds=SECONDS_MAX)).fetch("http://example.com/")

    assert len(page.text) <= FetchLimits().unpacked_bytes


@pytest.mark.parametrize("answer", [b"", b"\x00\x01\x02", b"HTTP/1.1 banana\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n"])
def test_what_does_not_speak_http_is_a_failure(internet, answer):
    def script(sock: socket.socket, request: bytes) -> None:
        sock.sendall(answer)

    assert refusal(internet, script) == "broken"


def test_a_host_that_is_down_is_unreachable(internet):
    with pytest.raises(FetchFailed, match="could not be reached"):
        internet.web().fetch("http://example.com/")


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """A certificate for example.com, for the server's side and for those who trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("example.com")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=file)


def test_https_proves_the_name_although_an_address_was_connected_to(internet, certified):
    server, trust = certified
    internet.names["other.example.org"] = [[PUBLIC]]
    with serving(internet, says(b"private talk"), wrap=server) as port:
        internet.hosts[PUBLIC] = port
        page = internet.web(trust=trust).fetch("https://example.com/")
        with pytest.raises(FetchFailed) as other_name:
            internet.web(trust=trust).fetch("https://other.example.org/")
        with pytest.raises(FetchFailed) as untrusted:
            internet.web().fetch("https://example.com/")

    assert page.text == "private talk"
    assert (other_name.value.code, untrusted.value.code) == ("not_trusted", "not_trusted")
