"""Frame of every hosted page: one look, on a desk and on a phone, that never pretends to be the real provider."""

from dataclasses import dataclass
from html import escape

ZERO_DECIMALS = {"JPY", "KRW", "HUF", "TWD", "CLP", "VND"}
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
STYLE = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;min-height:100vh;min-height:100dvh;display:flex;flex-direction:column;background:var(--ground);
 color:#1a1f36;font:16px/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
.banner{background:#fff7e0;border-bottom:1px solid #f2dfa4;color:#5c4400;font-size:14px;padding:10px 20px;
 text-align:center}
.banner b{font-weight:650}
main{flex:1;display:flex;align-items:center;justify-content:center;padding:32px 20px}
.card{display:grid;grid-template-columns:1fr 1fr;width:100%;max-width:880px;background:#fff;border-radius:16px;
 box-shadow:0 1px 2px rgba(20,25,50,.06),0 14px 40px rgba(20,25,50,.12);overflow:hidden}
.card.single{grid-template-columns:1fr;max-width:460px}
.side{background:var(--tint);padding:36px;display:flex;flex-direction:column;gap:22px}
.act{padding:36px;display:flex;flex-direction:column;gap:18px}
.brand{display:flex;align-items:center;gap:10px;font-weight:650}
.mark{width:32px;height:32px;border-radius:9px;background:var(--accent);color:#fff;display:grid;place-items:center;
 font-size:17px;font-weight:700}
.quiet{color:#5b6478;font-size:14px;margin:0}
.sum{font-size:36px;line-height:1.15;font-weight:700;letter-spacing:-.02em;margin:2px 0 0;overflow-wrap:anywhere}
h1{font-size:20px;line-height:1.3;margin:0;font-weight:650}
.lines{list-style:none;margin:0;padding:0;border-top:1px solid rgba(20,25,50,.1)}
.lines li{display:flex;justify-content:space-between;gap:16px;padding:12px 0;border-bottom:1px solid rgba(20,25,50,.1)}
.lines li:last-child{font-weight:650;border-bottom:0}
.side .hint{margin-top:auto}
.lines span:first-child{overflow-wrap:anywhere}
.lines span:last-child{white-space:nowrap;font-variant-numeric:tabular-nums}
.lines small{display:block;color:#5b6478;font-weight:400}
label{display:block;font-size:14px;font-weight:550}
input{width:100%;margin-top:6px;padding:11px 12px;font:inherit;border:1px solid #c9cfdd;border-radius:9px;
 background:#fff;color:inherit;font-weight:400}
input::placeholder{color:#767d90;opacity:1}
.plastic{display:flex;justify-content:space-between;align-items:center;gap:10px;padding:12px;border:1px solid #dde1ea;
 border-radius:9px;background:#f7f8fb;font-variant-numeric:tabular-nums;font-size:15px}
.plastic em{font-style:normal;color:#5b6478;font-size:13px}
form{display:flex;flex-direction:column;gap:14px;margin:0}
button,.button{appearance:none;display:block;width:100%;font:inherit;font-weight:600;padding:13px 16px;min-height:48px;
 border-radius:10px;border:1px solid transparent;cursor:pointer;text-align:center;text-decoration:none}
.go{background:var(--accent);color:var(--on-accent)}
.go:hover{filter:brightness(.94)}
.other{background:#fff;border-color:#c9cfdd;color:#2a3147;font-weight:550;font-size:15px}
.other:hover{background:#f5f6fa}
button:focus-visible,.button:focus-visible,input:focus-visible,summary:focus-visible,a:focus-visible{
 outline:3px solid var(--ring);outline-offset:2px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:10px}
.group{border-top:1px solid #e6e9f0;padding-top:16px;display:flex;flex-direction:column;gap:10px}
.group p{margin:0}
.alert{background:#fdecec;border:1px solid #f5c6c6;color:#8a1f1f;border-radius:9px;padding:11px 13px;font-size:15px}
.done{width:56px;height:56px;border-radius:50%;display:grid;place-items:center;font-size:26px;background:var(--tint);
 color:var(--accent)}
.link{color:#4a5268;font-size:15px;text-align:center}
@media (max-width:720px){
 main{padding:0;align-items:stretch}
 .card,.card.single{grid-template-columns:1fr;border-radius:0;box-shadow:none;max-width:none;align-content:start}
 .side{padding:24px 20px;gap:14px}.side .hint{margin-top:0}.act{padding:24px 20px 32px}
 .sum{font-size:30px}
 input{font-size:16px}
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Colours of a provider. `mark` is the provider's letter in the corner."""

    name: str
    mark: str
    accent: str
    on_accent: str
    tint: str
    ground: str
    ring: str


def frame(look: Look, title: str, body: str) -> str:
    """Return a whole page. `body` is HTML, with all outside text already escaped."""
    colours = (
        f":root{{--accent:{look.accent};--on-accent:{look.on_accent};--tint:{look.tint};--ground:{look.ground};"
        f"--ring:{look.ring}}}"
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{colours}{STYLE}</style></head><body>"
        f'<div class="banner" role="note"><b>This is a stand-in for {escape(look.name)}.</b> '
        "It runs on this machine, and no money moves.</div>"
        f"<main>{body}</main></body></html>"
    )


def brand(look: Look, text: str) -> str:
    return f'<div class="brand"><span class="mark" aria-hidden="true">{look.mark}</span>{escape(text)}</div>'


def hint(look: Look) -> str:
    text = f"You choose how this payment ends, and your app is told as {look.name} would tell it."
    return f'<p class="quiet hint">{escape(text)}</p>'


def lines(rows: list[tuple[str, str, str]]) -> str:
    """Return the HTML of rows, each with a name, small print and an amount."""
    shown = (
        f"<li><span>{escape(name)}{f'<small>{escape(small)}</small>' if small else ''}</span>"
        f"<span>{escape(amount)}</span></li>"
        for name, small, amount in rows
    )
    return f'<ul class="lines">{"".join(shown)}</ul>'


def button(action: str, text: str, *, is_main: bool = False) -> str:
    look = "go" if is_main else "other"
    return f'<button class="{look}" name="action" value="{escape(action)}">{escape(text)}</button>'


def notice(look: Look, *, sign: str, title: str, text: str, link: tuple[str, str] | None = None) -> str:
    """Return a page without a choice, with an optional link."""
    way = f'<a class="button go" href="{escape(link[0])}">{escape(link[1])}</a>' if link else ""
    body = (
        f'<section class="card single"><div class="act">{brand(look, look.name)}'
        f'<div class="done" aria-hidden="true">{sign}</div><h1>{escape(title)}</h1>'
        f'<p class="quiet">{escape(text)}</p>{way}</div></section>'
    )
    return frame(look, title, body)


def major(minor: int, currency: str) -> str:
    """Return an amount of minor units in the form for people."""
    code = currency.upper()
    text = f"{minor:,}" if code in ZERO_DECIMALS else f"{minor // 100:,}.{minor % 100:02d}"
    return money(text, code)


def money(text: str, currency: str) -> str:
    return f"{SYMBOLS[currency]}{text}" if currency in SYMBOLS else f"{text} {currency}"
