"""Main job, played once over real HTTP: sign up, bonus, a streamed answer and its cost, purchases, verification."""

import base64
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import requests

from emulator.chains.laptop import Purse
from emulator.paying_agent import call_and_pay
from emulator.payment_providers import stand_in_of
from emulator.suite import Endpoints
from shared.ledger.keys import PublicKey, Verifier
from shared.ledger.verify.exports import verify_account

TIMEOUT_SECONDS = 60
TOKEN_SECONDS = 3_600
COINS_SECONDS_MAX = 60
COINS_POLL_SECONDS = 0.5
TOKEN = "USDC"
QUESTION = "What happens when I ask you something?"
FRESH_ACCOUNT_PASSWORD = "correct horse battery staple"

Json = dict[str, Any]
AGENT_KEY: Json = {"name": "agent", "scopes": ["chat", "top_up"], "spend_cap": {"amount": "100", "period": "day"}}
"""API key whose holder may buy credits by itself, for a dollar a day."""


class WalkError(Exception):
    """Error of a step of the main job. The message shows the answer that came."""


@dataclass(slots=True, kw_only=True)
class Walk:
    """First minutes of one user. `show(step, what)` shows a finished step; `type_out` shows text as it arrives.

    `shops` are the stand-ins of payment providers by name, `purse` is a wallet with coins. With real providers or
    networks, a walk buys nothing there. `has_agents` is True if the laptop's facilitator settles agents' payments.
    """

    endpoints: Endpoints
    show: Callable[[str, str], None]
    type_out: Callable[[str], None]
    shops: Mapping[str, str] = field(default_factory=dict)
    purse: Purse | None = None
    has_agents: bool = False
    token: str = ""
    email: str = ""
    refresh_token: str = ""

    def run(self) -> None:
        """Take all steps of a new user. Raises WalkError naming the step that failed."""
        self._sign_up()
        if not self._claim_bonus():
            self._buy(next(iter(self.shops)))
            self._claim_bonus()
        before = self._balance()
        done = self._converse()
        self._settle(before, done)
        for provider in self.shops:
            self._buy(provider)
        if self.purse is not None:
            self._buy_with_coins(self.purse)
            if self.has_agents:
                self._pay_by_agent(self.purse)
        self._verify()

    def _sign_up(self) -> None:
        self.email = f"ada-{uuid.uuid4().hex[:6]}@example.com"
        body = {"email": self.email, "password": FRESH_ACCOUNT_PASSWORD, "returnSecureToken": True}
        answer = self._auth("accounts:signUp", body)
        self.token, self.refresh_token = answer["idToken"], answer["refreshToken"]
        me = self._call("GET", "/v1/me")
        self.show("sign up", f"{self.email} is user {me.get('uid', answer['localId'])}")

    def _claim_bonus(self) -> bool:
        """Claim the bonus, after verifying the address if required. Return False if a first payment is required."""
        answer = self._request("POST", "/v1/credits/welcome-bonus")
        reason = _reason(answer)
        if reason == "unverified":
            self._verify_address()
            answer = self._request("POST", "/v1/credits/welcome-bonus")
            reason = _reason(answer)
        if reason == "card" and self.shops:
            self.show("welcome bonus", "waits for a first payment")
            return False
        _checked(answer, "welcome bonus")
        self.show("welcome bonus", f"{self._balance()['available']} credits to spend")
        return True

    def _verify_address(self) -> None:
        """Follow the link of the verification mail, which the Auth emulator keeps, and refresh the token."""
        self._auth("accounts:sendOobCode", {"requestType": "VERIFY_EMAIL", "idToken": self.token})
        mails = f"{self.endpoints.auth}/emulator/v1/projects/{self.endpoints.project}/oobCodes"
        sent = _checked(requests.get(mails, timeout=TIMEOUT_SECONDS), "the verification mail")["oobCodes"]
        code = next(mail["oobCode"] for mail in reversed(sent) if mail["email"] == self.email)
        self._auth("accounts:update", {"oobCode": code})
        url = f"{self.endpoints.auth}/securetoken.googleapis.com/v1/token?key=laptop"
        body = {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
        self.token = _checked(requests.post(url, json=body, timeout=TIMEOUT_SECONDS), "a fresh token")["id_token"]
        self.show("verify", f"{self.email} is verified")

    def _auth(self, act: str, body: Json) -> Json:
        url = f"{self.endpoints.auth}/identitytoolkit.googleapis.com/v1/{act}?key=laptop"
        return _checked(requests.post(url, json=body, timeout=TIMEOUT_SECONDS), act)

    def _balance(self) -> Json:
        return self._call("GET", "/v1/credits/balance")

    def _converse(self) -> Json:
        """Send a message, show the reply as it streams, and return the last event of the stream."""
        conversation = self._call("POST", "/v1/chat/conversations", {"title": "First steps"})
        self.show("a question", QUESTION)
        path = f"/v1/chat/conversations/{conversation['id']}/messages"
        answer = self._request("POST", path, {"content": QUESTION, "stream": True}, stream=True)
        if not answer.ok:
            raise WalkError(_told("the streamed reply", answer))
        for event, data in events(answer.iter_lines()):
            if event == "message":
                self.type_out(data.get("delta", ""))
            elif event == "done":
                self.type_out("\n")
                return data
            elif event == "error":
                raise WalkError(f"the stream broke: {json.dumps(data)}")
        raise WalkError("the stream ended without its last event")

    def _settle(self, before: Json, done: Json) -> None:
        after = self._balance()
        usage, cost = done["usage"], Decimal(done["cost"])
        spent = Decimal(before["available"]) - Decimal(after["available"])
        tokens = f"{usage['input_tokens']} tokens in, {usage['output_tokens']} out"
        self.show("its cost", f"{tokens}: {cost} credits; {before['available']} → {after['available']}")
        if spent != cost or cost <= 0:
            raise WalkError(f"the reply cost {cost} credits, but the balance went down by {spent}")

    def _buy(self, provider: str) -> None:
        """Buy the largest package, pay as a browser would on the provider's page, and come back."""
        before = Decimal(self._balance()["available"])
        package = self._call("GET", "/v1/payments/options")["packages"][-1]
        wanted = {"package_id": package["id"], "provider": provider}
        begun = self._call("POST", "/v1/payments/traditional", wanted)
        back = self._pay(begun["checkout_url"], provider)
        if f"payment_id={begun['payment_id']}" not in back:
            raise WalkError(f"{provider}'s page led to {back!r}, and not back with the payment")
        paid = self._call("GET", f"/v1/payments/status/{begun['payment_id']}")
        after = Decimal(self._balance()["available"])
        if paid["status"] != "settled" or after - before != Decimal(paid["credits"]) + Decimal(paid["bonus"]):
            raise WalkError(f"paid with {provider}: {paid['status']}, and {before} became {after} credits")
        price = f"{package['price']['amount']} {package['price']['currency']}"
        self.show(f"buy with {provider}", f"{package['title']} for {price}; {before} → {after} credits")

    def _pay(self, checkout_url: str, provider: str) -> str:
        """Press the button that pays, and return the address to which the page sends its reader."""
        if not checkout_url.startswith(self.shops[provider]):
            raise WalkError(f"the page to pay {provider} on is {checkout_url}, not one of {self.shops[provider]}")
        page = requests.get(checkout_url, timeout=TIMEOUT_SECONDS)
        if not page.ok:
            raise WalkError(_told(f"{provider}'s page", page))
        form = {"action": stand_in_of(provider).pay_button, "email": "buyer@example.com"}
        pressed = requests.post(checkout_url, data=form, allow_redirects=False, timeout=TIMEOUT_SECONDS)
        if not pressed.is_redirect:
            raise WalkError(_told(f"{provider}'s page", pressed))
        return pressed.headers["Location"]

    def _buy_with_coins(self, purse: Purse) -> None:
        """Buy the largest package with a token, send the amount due, and wait until the chain has confirmed it."""
        before = Decimal(self._balance()["available"])
        options = self._call("GET", "/v1/payments/options")
        wanted = {"package_id": options["packages"][-1]["id"], "network": purse.network.name, "asset": TOKEN}
        begun = self._call("POST", "/v1/payments/crypto", wanted)
        purse.send(TOKEN, _contract_of(options, purse.network.name), begun["address"], int(begun["amount_atomic"]))
        self.show(f"send {TOKEN}", f"{begun['amount']} {TOKEN} on {begun['network_title']} to {begun['address']}")
        paid = self._confirmed(begun["payment_id"])
        after = Decimal(self._balance()["available"])
        if paid["status"] != "settled" or after - before != Decimal(paid["credits"]) + Decimal(paid["bonus"]):
            raise WalkError(f"paid with {TOKEN}: {paid['status']}, and {before} became {after} credits")
        self.show(f"buy with {TOKEN}", f"{paid['title']} for {begun['amount']} {TOKEN}; {before} → {after} credits")

    def _confirmed(self, payment: str) -> Json:
        """Return the payment once the network has confirmed the coins, or after `COINS_SECONDS_MAX`."""
        deadline, pause = time.monotonic() + COINS_SECONDS_MAX, threading.Event()
        while True:
            found = self._call("GET", f"/v1/payments/status/{payment}")
            if found["status"] == "settled" or time.monotonic() > deadline:
                return found
            pause.wait(COINS_POLL_SECONDS)

    def _pay_by_agent(self, purse: Purse) -> None:
        """Let an agent of a new user, who has no credits, call a model: the agent's client pays with the call."""
        owner = Walk(endpoints=self.endpoints, show=lambda _step, _what: None, type_out=self.type_out)
        owner._sign_up()
        key = owner._call("POST", "/v1/api-keys", AGENT_KEY)["key"]
        models = owner._call("GET", "/v1/models")["items"]
        model = next(each["id"] for each in models if each["kind"] == "chat")
        body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
        contract = _contract_of(owner._call("GET", "/v1/payments/options"), purse.network.name)
        paid = call_and_pay(purse, TOKEN, contract, f"{self.endpoints.api}/v1/openai/chat/completions", key, body)
        if not paid.answer.ok or not paid.payment.get("success"):
            raise WalkError(_told("the call that an agent pays for", paid.answer))
        cost, left = paid.answer.headers["X-Credits-Cost"], owner._balance()["available"]
        self.show("an agent pays", f"1 {TOKEN} with its call, by x402, no person asked; {cost} spent, {left} left")

    def _verify(self) -> None:
        """Verify the export as an auditor would: with nothing but the file and the ledger's public keys."""
        keys = [PublicKey.from_json(key) for key in self._call("GET", "/v1/ledger/keys")["items"]]
        answer = self._request("GET", "/v1/credits/export")
        if not answer.ok:
            raise WalkError(_told("the export", answer))
        lines = [line.decode() for line in answer.content.splitlines(keepends=True)]
        entries = sum('"type":"entry"' in line for line in lines)
        findings = verify_account(lines, Verifier(keys))
        if findings or not entries:
            raise WalkError(f"the exported chain of {entries} entries does not verify: {findings}")
        self.show("the ledger", f"{entries} entries exported; every hash, signature and balance verified")

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        return _checked(self._request(method, path, body), f"{method} {path}")

    def _request(self, method: str, path: str, body: Json | None = None, *, stream: bool = False) -> requests.Response:
        url = f"{self.endpoints.api}{path}"
        headers = {
            "Authorization": f"Bearer {self.token}",
            "X-Firebase-AppCheck": app_check_token(self.endpoints.project),
        }
        if method == "POST":
            headers["Idempotency-Key"] = uuid.uuid4().hex
        return requests.request(method, url, json=body, headers=headers, stream=stream, timeout=TIMEOUT_SECONDS)


def _contract_of(options: Json, network: str) -> str:
    """Return the contract of the token on a network, as the options list both."""
    listed = next(each for each in options["crypto"] if each["network"] == network)["assets"]
    return str(next(asset["contract"] for asset in listed if asset["asset"] == TOKEN))


def app_check_token(project: str) -> str:
    """Return an unsigned App Check token. A laptop accepts such tokens, since no emulator issues any."""
    now = int(time.time())
    claims = {"sub": "walk", "aud": [f"projects/{project}"], "iat": now, "exp": now + TOKEN_SECONDS}
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join((*encoded, ""))


def events(lines: Iterator[bytes]) -> Iterator[tuple[str, Json]]:
    """Yield the server-sent events in these lines, as names with their data. Comments are skipped."""
    event, data = "message", ""
    for line in (raw.decode() for raw in lines):
        if line.startswith("event:"):
            event = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            data += line.removeprefix("data:").strip()
        elif not line and data:
            yield event, json.loads(data)
            event, data = "message", ""


def _checked(answer: requests.Response, step: str) -> Json:
    if not answer.ok:
        raise WalkError(_told(step, answer))
    body: Json = answer.json()
    return body


def _reason(answer: requests.Response) -> str:
    """Return the reason why the bonus was refused; empty if the bonus was given, or for any other refusal."""
    return "" if answer.ok else str(answer.json().get("params", {}).get("reason", ""))


def _told(step: str, answer: requests.Response) -> str:
    return f"{step} answered {answer.status_code}: {answer.text[:600]}"
