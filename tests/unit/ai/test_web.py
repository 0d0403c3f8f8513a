"""Which URLs may be fetched at all, and which addresses are public: the tricks of server-side request forgery."""

import pytest

from shared.ai.agents.web import FetchFailed, checked_url, is_public

FINE = {
    "http://example.com": "http://example.com/",
    "https://EXAMPLE.com./a?b=c#d": "https://example.com/a?b=c",
    "https://example.com:443/": "https://example.com/",
    "http://8.8.8.8/x": "http://8.8.8.8/x",
    "https://[2606:4700:4700::1111]/": "https://[2606:4700:4700::1111]/",
    "https://bücher.example.com/ä?q=ü": "https://xn--bcher-kva.example.com/%C3%A4?q=%C3%BC",
    "https://example.com/a%20b": "https://example.com/a%20b",
}
REFUSED = {
    "file:///etc/passwd": "scheme_not_allowed",
    "ftp://example.com/": "scheme_not_allowed",
    "gopher://example.com/": "scheme_not_allowed",
    "data:text/plain,hello": "scheme_not_allowed",
    "javascript:alert(1)": "scheme_not_allowed",
    "jar:http://example.com!/": "scheme_not_allowed",
    "//example.com/": "scheme_not_allowed",
    "example.com": "scheme_not_allowed",
    "http://example.com:8080/": "port_not_allowed",
    "http://example.com:443/": "port_not_allowed",
    "https://example.com:80/": "port_not_allowed",
    "http://example.com:99999/": "bad_url",
    "http://user@example.com/": "bad_url",
    "http://user:password@example.com/": "bad_url",
    "http://example.com@127.0.0.1/": "bad_url",
    "http://127.0.0.1\\@example.com/": "bad_url",
    "http://example.com/\r\nHost: inside": "bad_url",
    "http://example.com\r\n/": "bad_url",
    "http://exam ple.com/": "bad_url",
    " http://example.com/": "bad_url",
    "http://example.com/\x00": "bad_url",
    "http://example.com/" + "a" * 3_000: "bad_url",
    "http://": "host_not_public",
    "http:///etc/passwd": "host_not_public",
    "http://%31%32%37.0.0.1/": "host_not_public",
    "http://exa%6dple.com/": "bad_url",
    "http://a..b.com/": "bad_url",
    "http://-a.com/": "bad_url",
    "http://[::1/": "bad_url",
    "http://localhost/": "host_not_public",
    "http://localhost./": "host_not_public",
    "http://intranet/": "host_not_public",
    "http://app.localhost/": "host_not_public",
    "http://printer.local/": "host_not_public",
    "http://metadata.google.internal/computeMetadata/v1/": "host_not_public",
    "http://127.0.0.1/": "host_not_public",
    "http://127.1/": "host_not_public",
    "http://2130706433/": "host_not_public",
    "http://0x7f000001/": "host_not_public",
    "http://0x7f.0.0.1/": "host_not_public",
    "http://0177.0.0.1/": "host_not_public",
    "http://017700000001/": "host_not_public",
    "http://127.0.0.1./": "host_not_public",
    "http://１２７.０.０.１/": "host_not_public",
    "http://127。0。0。1/": "host_not_public",
    "http://①②⑦.0.0.1/": "host_not_public",
    "http://0/": "host_not_public",
    "http://0.0.0.0/": "host_not_public",
    "http://8.8.8/": "host_not_public",
    "http://8.8.8.08/": "host_not_public",
    "http://256.1.1.1/": "host_not_public",
    "http://10.0.0.1/": "host_not_public",
    "http://172.16.0.1/": "host_not_public",
    "http://192.168.1.1/": "host_not_public",
    "http://100.64.0.1/": "host_not_public",
    "http://169.254.169.254/latest/meta-data/": "host_not_public",
    "http://192.88.99.1/": "host_not_public",
    "http://224.0.0.1/": "host_not_public",
    "http://255.255.255.255/": "host_not_public",
    "http://[::]/": "host_not_public",
    "http://[::1]/": "host_not_public",
    "http://[::ffff:127.0.0.1]/": "host_not_public",
    "http://[::ffff:8.8.8.8]/": "host_not_public",
    "http://[::127.0.0.1]/": "host_not_public",
    "http://[64:ff9b::7f00:1]/": "host_not_public",
    "http://[64:ff9b:1::7f00:1]/": "host_not_public",
    "http://[2002:7f00:1::]/": "host_not_public",
    "http://[2001:0:7f00:1::]/": "host_not_public",
    "http://[2001:db8::1]/": "host_not_public",
    "http://[fd00:ec2::254]/": "host_not_public",
    "http://[fe80::1]/": "host_not_public",
    "http://[fe80::1%25eth0]/": "host_not_public",
    "http://[2606:4700::1%25eth0]/": "host_not_public",
    "http://[ff02::1]/": "host_not_public",
    "http://[v1.a:b]/": "host_not_public",
}


@pytest.mark.parametrize(("url", "asked"), FINE.items())
def test_a_plain_url_is_asked_for_in_its_usual_form(url, asked):
    assert checked_url(url).url == asked


@pytest.mark.parametrize(("url", "code"), REFUSED.items(), ids=ascii)
def test_a_trick_is_refused_before_anything_is_resolved(url, code):
    with pytest.raises(FetchFailed) as failed:
        checked_url(url)

    assert failed.value.code == code


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e"])
def test_a_host_of_the_internet_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize("address", ["", "nonsense", "127.0.0.1%lo", "2606:4700::1%eth0", "198.18.0.1", "240.0.0.1"])
def test_what_is_no_such_address_is_not(address):
    assert not is_public(address)
