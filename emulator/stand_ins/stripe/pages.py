"""Hosted pages of a stand-in Stripe: the purchase, with a button for each possible end, and the receipt."""

from datetime import UTC, datetime
from html import escape
from urllib.parse import parse_qs

from emulator.stand_ins.pages import Look, brand, button, frame, hint, lines, major, notice
from emulator.stand_ins.stripe.errors import StripeError
from emulator.stand_ins.stripe.objects import RECEIPTS
from emulator.stand_ins.wire import Answer, Json, Request, page_answer, redirect

LOOK = Look(
    name="Stripe",
    mark="S",
    accent="#4b45c6",
    on_accent="#ffffff",
    tint="#f1f1fd",
    ground="#eceefa",
    ring="#a9a5f5",
)
PATH = "/c/pay/"
RETURNS_TO = "{CHECKOUT_SESSION_ID}"


def session_in(path: str) -> str | None:
    return path.removeprefix(PATH) if path.startswith(PATH) else None


def receipt_in(path: str) -> str | None:
    return path.removeprefix(RECEIPTS) if path.startswith(RECEIPTS) else None


def action_of(request: Request) -> tuple[str, str, str]:
    """Return the pressed button, and the typed e-mail address and name."""
    form = parse_qs(request.body.decode(errors="replace"))
    return form.get("action", [""])[0], form.get("email", [""])[0].strip(), form.get("name", [""])[0].strip()


def back_to_shop(session: Json) -> Answer:
    return redirect(session["success_url"].replace(RETURNS_TO, session["id"]))


def unknown() -> Answer:
    text = "This payment page does not exist, or the stand-in was started again since it was made."
    return page_answer(notice(LOOK, sign="?", title="No such payment", text=text), status=404)


def closed(session: Json) -> Answer:
    if session["status"] == "expired":
        text = "The time to pay is over. Go back to the shop and start again."
        link = (session["cancel_url"], "Back to the shop") if session["cancel_url"] else None
        return page_answer(notice(LOOK, sign="⏱", title="This payment has expired", text=text, link=link))
    link = (session["success_url"].replace(RETURNS_TO, session["id"]), "Back to the shop")
    is_paid = session["payment_status"] == "paid"
    text = (
        "You have paid already; nothing was charged twice."
        if is_paid
        else "Your bank was asked; the money will follow."
    )
    return page_answer(notice(LOOK, sign="✓", title="All done", text=text, link=link))


def receipt(charge: Json) -> Answer:
    """Return the receipt of a payment in its present state, with the refunds since."""
    currency, at = charge["currency"], datetime.fromtimestamp(charge["created"], UTC)
    used = charge["payment_method_details"]
    way = f"{used['card']['brand'].capitalize()} •••• {used['card']['last4']}" if "card" in used else "Bank account"
    rows = [(charge["description"] or "Payment", "", major(charge["amount"], currency))]
    if charge["amount_refunded"]:
        rows.append(("Refunded", "", f"−{major(charge['amount_refunded'], currency)}"))
    rows.append(("Amount paid", way, major(charge["amount"] - charge["amount_refunded"], currency)))
    body = (
        f'<section class="card single"><div class="act">{brand(LOOK, "Integrated Credits")}'
        f"<div><h1>Receipt from Integrated Credits</h1>"
        f'<p class="quiet">{at:%B} {at.day}, {at.year} · {escape(charge["id"])}</p></div>'
        f"{lines(rows)}</div></section>"
    )
    return page_answer(frame(LOOK, "Receipt from Integrated Credits", body))


def refused(error: StripeError) -> Answer:
    return page_answer(notice(LOOK, sign="!", title="That did not work", text=str(error)), status=error.status)


def checkout(session: Json, items: list[Json], *, problem: str = "") -> Answer:
    """Return the page to pay on. After a declined card, the page says so, and the user may try again."""
    currency = session["currency"]
    total = major(session["amount_total"], currency)
    rows = [
        (item["description"], f"{item['quantity']} × {major(item['price']['unit_amount'], currency)}",
         major(item["amount_total"], currency))
        for item in items
    ]  # fmt: skip
    alert = f'<div class="alert" role="alert">{escape(problem)}</div>' if problem else ""
    cancel = button("cancel", "Cancel and go back") if session["cancel_url"] else ""
    email = escape(session["customer_email"] or "")
    body = (
        f'<section class="card"><div class="side">{brand(LOOK, "Integrated Credits")}'
        f'<div><p class="quiet">Pay</p><p class="sum">{escape(total)}</p></div>'
        f"{lines([*rows, ('Total', '', total)])}{hint(LOOK)}</div>"
        f'<div class="act"><h1>Pay with a test card</h1>{alert}'
        '<form method="post">'
        f'<label>E-mail<input type="email" name="email" autocomplete="off" placeholder="buyer@example.com" '
        f'value="{email}"></label>'
        '<label>Name on card<input name="name" autocomplete="off" placeholder="Zoë Müller"></label>'
        '<div class="plastic"><span>4242 4242 4242 4242</span><em>12 / 34</em></div>'
        f"{button('paid', f'Pay {total}', is_main=True)}"
        '<div class="group"><p class="quiet">Or let it end another way</p>'
        f"{button('declined', 'The card is declined')}"
        f'<div class="pair">{button("later_paid", "Arrives later")}'
        f"{button('later_failed', 'Fails later')}</div>{cancel}</div></form></div></section>"
    )
    return page_answer(frame(LOOK, f"Pay {total}", body))
