"""Hosted approval page of a stand-in PayPal: the purchase, and a button for each possible end."""

from decimal import Decimal
from urllib.parse import parse_qs, urlencode

from emulator.stand_ins.pages import Look, brand, button, frame, hint, lines, money, notice
from emulator.stand_ins.paypal.money import Approval
from emulator.stand_ins.wire import Answer, Json, Request, page_answer, redirect

LOOK = Look(
    name="PayPal",
    mark="P",
    accent="#0b4dbb",
    on_accent="#ffffff",
    tint="#eff5fe",
    ground="#e9f0fa",
    ring="#8db7f5",
)
PATH = "/checkoutnow"


def action_of(request: Request) -> tuple[str, str]:
    """Return the pressed button, and the typed e-mail address."""
    form = parse_qs(request.body.decode(errors="replace"))
    return form.get("action", [""])[0], form.get("email", [""])[0].strip()


def back(url: str, **told: str) -> Answer:
    """Return to the shop, with PayPal's additions to the address; show a notice if the order names no address."""
    if not url:
        text = "The shop named no address to return to. You may close this page."
        return page_answer(notice(LOOK, sign="✓", title="All done", text=text))
    return redirect(f"{url}{'&' if '?' in url else '?'}{urlencode(told)}")


def unknown() -> Answer:
    text = "This order does not exist, has expired, or the stand-in was started again since it was made."
    return page_answer(notice(LOOK, sign="?", title="No such order", text=text), status=404)


def closed(approval: Approval) -> Answer:
    text = "This order is paid already; nothing was charged twice."
    link = (approval.return_url, "Back to the shop") if approval.return_url else None
    return page_answer(notice(LOOK, sign="✓", title="All done", text=text, link=link), status=200)


def approve(order: Json, approval: Approval) -> Answer:
    unit = order["purchase_units"][0]
    total = money(f"{Decimal(unit['amount']['value']):,}", unit["amount"]["currency_code"])
    rows = [(unit.get("description", "Your order"), unit.get("invoice_id", ""), total), ("Total", "", total)]
    again = order["status"] == "APPROVED"
    told = (
        "You approved this already; choose again if you like."
        if again
        else "Your shop takes the money when you return."
    )
    body = (
        f'<section class="card"><div class="side">{brand(LOOK, approval.brand)}'
        f'<div><p class="quiet">Pay with PayPal</p><p class="sum">{total}</p></div>{lines(rows)}{hint(LOOK)}</div>'
        '<div class="act"><h1>Approve this payment</h1>'
        f'<p class="quiet">{told}</p>'
        '<form method="post">'
        '<label>E-mail of your PayPal account<input type="email" name="email" autocomplete="off" '
        'placeholder="zoe@example.com"></label>'
        '<div class="plastic"><span>Balance of Zoë Müller-Ñandú</span><em>enough</em></div>'
        f"{button('completed', f'Approve {total}', is_main=True)}"
        '<div class="group"><p class="quiet">Or let it end another way</p>'
        f'<div class="pair">{button("pending_paid", "Paid later")}'
        f"{button('pending_denied', 'Denied later')}</div>"
        f"{button('declined', 'Approve, but the bank declines')}"
        f"{button('cancel', 'Cancel and go back')}</div></form></div></section>"
    )
    return page_answer(frame(LOOK, f"Pay {total} with PayPal", body))
