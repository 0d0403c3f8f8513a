// Buying credits in the playground: packages, the provider's page or the page of a crypto payment, and back; the payment
// shows live through Firestore, as the balance does. It builds on playground.js, which is loaded before it.
"use strict";

const PAYMENTS_PAGE = 5;
const PROVIDERS = { stripe: "Card", paypal: "PayPal", evm: "Crypto", bitcoin: "Bitcoin" };
const RETURNED = "payment_id";
const CANCELLED = "cancelled";
// What a person is told about each status, and how it looks: good, bad, or under way.
const PAYMENT_WORDS = {
  created: ["Opening the payment page", "is-open"], pending: ["Waiting to be paid", "is-open"],
  confirming: ["The provider is confirming", "is-open"], settled: ["Paid", "is-good"], failed: ["Not paid", "is-bad"],
  cancelled: ["Cancelled, nothing was taken", ""], expired: ["Not paid in time", "is-bad"], partially_refunded: ["Partly refunded", ""], refunded: ["Refunded", ""],
  disputed: ["Disputed", "is-bad"], won: ["Paid, dispute won", "is-good"], lost: ["Dispute lost", "is-bad"],
  taken_back: ["Taken back by the network", "is-bad"],
};
// Of a payment, as the API or a listener tells it.
function wordsOf(payment) {
  if (payment.under_review) return ["Being looked at by us", "is-open"];
  return payment.status === "pending" && payment.failure ? ["Declined: try another way of paying", "is-bad"] : PAYMENT_WORDS[payment.status];
}
const UNPAID = ["created", "pending", "confirming"];
const ENDED = ["cancelled", "expired", "failed"];

const shop = { uid: null, options: null, chosen: null, cursor: null, stop: null, key: null, isBusy: false };

const price = (money) => new Intl.NumberFormat([], { style: "currency", currency: money.currency }).format(Number(money.amount));

// --- coming here ----------------------------------------------------------------------------------------------------

async function openShop(user) {
  leaveShop();
  if (!user) return;
  shop.uid = user.uid;
  $("buy-note").textContent = user.isAnonymous ? "Guests can look, not buy: add an email above to keep this account." : "";
  try {
    const options = await call("GET", "payments/options");
    if (shop.uid !== user.uid) return;
    shop.options = options;
    drawPackages(user.isAnonymous);
    if (!user.isAnonymous) await Promise.all([loadPayments(), comeBack()]);
  } catch (error) {
    explain(error);
  }
}

function leaveShop() {
  shop.stop?.();
  Object.assign(shop, { uid: null, options: null, chosen: null, cursor: null, stop: null, key: null, isBusy: false });
  for (const id of ["packages", "methods", "payments"]) $(id).replaceChildren();
  for (const id of ["buy", "payment", "payments-panel", "coins"]) $(id).hidden = true;
}

// The page was left to pay, and this is the way back: the address names the payment.
async function comeBack() {
  const here = new URL(window.location.href);
  const id = here.searchParams.get(RETURNED);
  if (!id) return;
  if (here.searchParams.has(CANCELLED)) toast("You came back without paying, and nothing was taken. Try again, or choose something else.");
  for (const name of [RETURNED, CANCELLED, "session_id", "token", "PayerID"]) here.searchParams.delete(name);
  window.history.replaceState(null, "", here);
  pane("money");
  watchPayment(id);
  await ask(id);
}

// Asking makes the backend ask the provider, so that nobody waits for a webhook; the listener shows what comes of it.
async function ask(id) {
  try {
    await call("GET", `payments/status/${id}`);
  } catch (error) {
    if (error.code === "payment_not_found") $("payment").hidden = true;
    explain(error);
  }
}

// --- choosing -------------------------------------------------------------------------------------------------------

function drawPackages(isGuest) {
  const { packages, methods } = shop.options;
  $("buy").hidden = packages.length === 0;
  choose(packages.find((one) => one.bonus !== "0") ?? packages[0]);
  $("packages").replaceChildren(...packages.map((one) => el("li", {},
    el("button", { type: "button", class: "package", "data-package": one.id, "aria-pressed": String(one === shop.chosen), onclick: () => choose(one) },
      el("span", { class: "what" }, one.title), el("span", { class: "much" }, price(one.price)),
      el("small", {}, `${shown(one.credits)} credits`, ...extras(one))))));
  $("methods").replaceChildren(...methods.map((method) => el("button",
    { type: "button", class: method.provider === "stripe" ? "primary" : "other", "data-provider": method.provider, disabled: isGuest, onclick: () => buy(method.provider) },
    method.provider === "stripe" ? "Pay by card" : PROVIDERS[method.provider])));
  drawCoins(isGuest);
  const isTest = [...methods, ...shop.options.crypto].every((method) => method.is_test);
  if (!methods.length && !shop.options.crypto.length) $("buy-note").textContent = "No way of paying is set up here.";
  else if (!isGuest && isTest) $("buy-note").textContent = "Test mode: no money moves.";
}

// Coins on networks, each as one choice. One that does not work now says why.
function drawCoins(isGuest) {
  const ways = shop.options.crypto.flatMap((network) => network.assets.map((asset) => ({ network, asset })));
  $("coins").hidden = ways.length === 0;
  const usual = ways.find(({ asset }) => asset.is_available && asset.contract) ?? ways.find(({ asset }) => asset.is_available); // a token's price stands still
  $("coin").replaceChildren(...ways.map(({ network, asset }) => el("option",
    { value: `${network.network}:${asset.asset}`, disabled: !asset.is_available, title: asset.reason, selected: asset === usual?.asset },
    `${asset.asset} on ${network.title}${asset.is_available ? "" : " (not now)"}`)));
  $("pay-coins").disabled = isGuest || !usual;
  $("coins-note").textContent = ways.find(({ asset }) => !asset.is_available)?.asset.reason ?? "";
}

function extras(one) {
  const bonus = one.bonus === "0" ? [] : [el("em", {}, `+ ${shown(one.bonus)} free${one.bonus_days ? ` for ${one.bonus_days} days` : ""}`)];
  const limit = one.per_user_limit ? [el("em", { class: "limit" }, one.per_user_limit === 1 ? "once per user" : `${one.per_user_limit} per user`)] : [];
  return [...bonus, ...limit];
}

function choose(one) {
  shop.chosen = one;
  shop.key = null; // another purchase, another key
  for (const button of $("packages").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.package === one?.id));
}

function buy(provider) { return checkOut("payments/traditional", { provider }, provider); }

function buyWithCoins(event) {
  event.preventDefault();
  const [network, asset] = $("coin").value.split(":");
  return checkOut("payments/crypto", { network, asset }, `${network}-${asset}`);
}

async function checkOut(path, way, name) {
  if (shop.isBusy || !shop.chosen) return;
  busyBuying(true);
  // The same press tried again is the same purchase: it keeps its key until it has led to a page.
  shop.key = shop.key?.startsWith(`${name}-`) ? shop.key : `${name}-${crypto.randomUUID()}`;
  try {
    const back = new URL("playground", here).href;
    const body = { package_id: shop.chosen.id, ...way, success_url: back, cancel_url: `${back}?${CANCELLED}=1` };
    const begun = await call("POST", path, { body, key: shop.key });
    window.location.assign(begun.checkout_url);
  } catch (error) {
    explain(error);
    busyBuying(false);
  }
}

function busyBuying(isBusy) {
  shop.isBusy = isBusy;
  for (const button of [...$("methods").querySelectorAll("button"), $("pay-coins")]) button.disabled = isBusy;
}

// --- one payment, live ----------------------------------------------------------------------------------------------

function watchPayment(id) {
  shop.stop?.();
  let last = null;
  shop.stop = firebase.firestore().doc(`payments/${id}`).onSnapshot((snapshot) => {
    const payment = snapshot.data();
    if (!payment?.price) return; // not there yet, or still in a form of before
    drawPayment(id, payment);
    if (last !== null && last !== payment.status) loadPayments().catch(explain);
    last = payment.status;
  }, () => { $("payment").hidden = true; });
}

// Stripe has a page for it; PayPal writes to the payer, whose account there lists it by this name.
function receipt(payment) {
  if (payment.receipt_url) return el("a", { href: payment.receipt_url, target: "_blank", rel: "noopener" }, "Receipt");
  return payment.transaction_id ? el("span", {}, `${PROVIDERS[payment.provider]} transaction ${payment.transaction_id}`) : null;
}

// The page of the provider as long as it takes money; afterwards a new purchase of the same package.
function wayToPay(payment) {
  if (payment.checkout_url) return el("a", { href: payment.checkout_url }, payment.status === "cancelled" ? "Try again" : "Go on paying");
  const sold = !payment.crypto && ENDED.includes(payment.status) && shop.options.packages.find((one) => one.id === payment.package_id);
  return sold ? el("button", { type: "button", class: "link", onclick: () => { choose(sold); buy(payment.provider); } }, "Try again") : null;
}

function drawPayment(id, payment) {
  const [words, look] = wordsOf(payment);
  const gift = payment.bonus === "0" ? "" : ` + ${shown(payment.bonus)}`;
  const isOpen = payment.under_review || UNPAID.includes(payment.status);
  $("payment").hidden = false;
  $("payment").dataset.status = payment.status;
  $("payment").replaceChildren(
    el("p", { class: `payment-status ${look}` }, look === "is-open" ? el("i", { class: "spinner" }) : null, el("b", {}, words)),
    el("p", {}, `${payment.title} · ${price(payment.price)} · ${shown(payment.credits)}${gift} credits`),
    payment.crypto ? el("p", {}, payment.crypto.sentence) : null,
    el("p", { class: "payment-ways" },
      wayToPay(payment),
      isOpen ? el("button", { type: "button", class: "link", onclick: () => ask(id) }, "Check now") : null,
      receipt(payment),
      isOpen ? null : el("button", { type: "button", class: "link", onclick: () => { shop.stop?.(); $("payment").hidden = true; } }, "Close")));
}

// --- what was bought before ------------------------------------------------------------------------------------------

async function loadPayments(isMore = false) {
  const cursor = isMore && shop.cursor ? `&cursor=${encodeURIComponent(shop.cursor)}` : "";
  const page = await call("GET", `payments/history?limit=${PAYMENTS_PAGE}${cursor}`);
  if (!shop.uid) return;
  const rows = page.items.map(paymentRow);
  if (isMore) $("payments").append(...rows);
  else $("payments").replaceChildren(...rows);
  $("payments-panel").hidden = !isMore && rows.length === 0;
  shop.cursor = page.next_cursor;
  $("more-payments").hidden = !page.next_cursor;
}

function paymentRow(payment) {
  const [words, look] = wordsOf(payment);
  const way = payment.checkout_url ? wayToPay(payment) : receipt(payment);
  return el("li", { title: payment.id },
    el("span", { class: "what" }, payment.title), el("span", { class: "much" }, price(payment.price)),
    el("small", {}, el("span", { class: `payment-word ${look}` }, words), ` · ${PROVIDERS[payment.provider]} · ${when(payment.created_at)}`),
    el("small", {}, way ?? ""));
}

$("more-payments").addEventListener("click", () => loadPayments(true).catch(explain));
// A page that the browser kept while its user paid elsewhere may be used again.
window.addEventListener("pageshow", (event) => { if (event.persisted) busyBuying(false); });
$("coins").addEventListener("submit", buyWithCoins);
document.addEventListener("user", (event) => openShop(event.detail));
if (state.user) openShop(state.user);
