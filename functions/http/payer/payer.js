// The payer's page of a crypto payment. The page's own address is the secret that opens it; nobody signs in. It asks
// `…/state` every few seconds while somebody looks, and draws what the backend says: it decides nothing about money.
"use strict";

const ASK_SECONDS = 4;
const ASK_HIDDEN_SECONDS = 30;
const TICK_MS = 1000;
const COPIED_MS = 2000;
const ENDS = 6;
// Headline and look of each phase: open, good, bad, or still (a person has to act, or time).
const PHASES = {
  waiting: ["Waiting for your coins", "open"], pool: ["On the way, not in a block yet", "open"],
  seen: ["Your coins have arrived", "open"], confirming: ["The network is confirming", "open"],
  partial: ["A part has come", "still"], late: ["Time is up", "still"], settled: ["Paid", "good"],
  review: ["We are looking at this payment", "still"], taken_back: ["The network took it back", "bad"],
  expired: ["Time is up", "still"], cancelled: ["Cancelled", "still"], failed: ["Not paid", "bad"],
  refunded: ["Refunded", "still"], partially_refunded: ["Partly refunded", "still"], lost: ["The network took it back", "bad"],
};
const UNAVAILABLE = ["The network does not answer", "still"];
const LINE_WORDS = { confirming: ["being confirmed", ""], settled: ["credited", "is-good"], review: ["being looked at", ""], taken_back: ["taken back", "is-bad"] };

const $ = (id) => document.getElementById(id);
const here = window.location.pathname.replace(/\/$/, "");
const page = { view: null, skew: 0, timer: 0, turn: 0, isAsking: false, isLost: false, qr: "", chosen: null };

// --- small things ---------------------------------------------------------------------------------------------------

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// A text that is set again although nothing changed would be read out again.
function say(id, text) { if ($(id).textContent !== text) $(id).textContent = text; }

function show(id, isShown) { $(id).hidden = !isShown; }

function money(price) { return new Intl.NumberFormat([], { style: "currency", currency: price.currency }).format(Number(price.amount)); }

function grouped(decimal) {
  const [whole, rest] = String(decimal).split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") + (rest ? `.${rest}` : "");
}

function clock(seconds) {
  const [minutes, rest] = [Math.floor(seconds / 60), Math.floor(seconds % 60)];
  return `${minutes}:${String(rest).padStart(2, "0")}`;
}

function about(seconds) {
  if (seconds < 90) return seconds <= 1 ? "about a second" : `about ${Math.round(seconds)} seconds`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} minutes`;
  return `about ${Math.round(seconds / 3600)} hours`;
}

function hour(text) { return new Date(text).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }); }

function now() { return Date.now() + page.skew; }

// --- the backend ----------------------------------------------------------------------------------------------------

class Problem extends Error {
  constructor(body, status) {
    super(body.detail || "That did not work. Try again in a moment.");
    Object.assign(this, { status, code: body.code || "unknown" });
  }
}

async function call(method, path, body) {
  const options = { method, cache: "no-store", credentials: "omit" };
  if (body !== undefined) Object.assign(options, { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const response = await fetch(`${here}/${path}`, options);
  if (response.ok) return response.json();
  throw new Problem(await response.json().catch(() => ({})), response.status);
}

async function ask() {
  if (page.isAsking) return;
  page.isAsking = true;
  clearTimeout(page.timer);
  const turn = page.turn;
  try {
    const view = await call("GET", "state");
    if (turn !== page.turn) return; // older than what an act of this page has changed since
    draw(view);
    if (page.isLost) note(""); // what an act has failed with stays until the next act
    page.isLost = false;
  } catch (error) {
    page.isLost = true;
    if (error.status === 404) note("This payment does not exist any more.");
    else note("The latest state cannot be loaded. Nothing is lost: the page goes on trying by itself.");
  } finally {
    page.isAsking = false;
    askLater();
  }
}

function askLater() {
  clearTimeout(page.timer);
  const seconds = page.view ? page.view.ask_again_seconds : ASK_SECONDS;
  if (seconds === null) return; // over: nothing changes any more
  page.timer = setTimeout(ask, Math.max(seconds, document.hidden ? ASK_HIDDEN_SECONDS : 0) * 1000);
}

function note(text) {
  say("notice", text);
  show("notice", Boolean(text));
}

// --- drawing --------------------------------------------------------------------------------------------------------

function draw(view) {
  const { crypto } = page.view = view;
  page.skew = Date.parse(view.now) - Date.now();
  document.body.dataset.network = crypto.network;
  document.body.dataset.phase = view.phase;
  drawBought(view);
  drawState(view);
  drawPay(view);
  drawLines(view);
  drawTransactions(crypto.transactions);
  drawWays(view);
  tick();
  document.dispatchEvent(new CustomEvent("view", { detail: view }));
  keepFocus();
}

function drawBought(view) {
  say("title", view.title);
  say("about", `${grouped(view.credits)}${view.bonus === "0" ? "" : ` + ${grouped(view.bonus)}`} credits`);
  say("price", money(view.price));
  say("reference", `Payment ${view.payment_id}`);
}

function drawState(view) {
  const { crypto } = view;
  const [headline, look] = crypto.unavailable && view.ask_again_seconds !== null ? UNAVAILABLE : PHASES[view.phase] ?? PHASES.review;
  $("state").dataset.look = look;
  say("headline", headline);
  say("sentence", crypto.sentence);
  document.title = `${headline} · ${view.title}`;
  drawDepth(crypto);
  show("sums", crypto.state === "partial" || (crypto.received_atomic !== "0" && crypto.missing_atomic !== "0"));
  say("came", `${grouped(crypto.received)} ${crypto.asset}`);
  say("missing", `${grouped(crypto.missing)} ${crypto.asset}`);
  show("take", view.is_takeable);
  show("state", true);
}

function drawDepth({ state, confirmations, confirmations_needed: needed, wait_seconds: wait }) {
  const isConfirming = state === "seen" || state === "confirming";
  show("depth", isConfirming);
  if (!isConfirming) return;
  const left = wait === null ? "" : ` · ${about(wait)}`;
  if (needed === null) {
    $("confirmations").removeAttribute("value");
    say("depth-text", `Waiting until the network calls it final${left}`);
    return;
  }
  Object.assign($("confirmations"), { max: Math.max(needed, 1), value: Math.min(confirmations ?? 0, needed) });
  say("depth-text", `${Math.min(confirmations ?? 0, needed)} of ${needed} ${needed === 1 ? "confirmation" : "confirmations"}${left}`);
}

function drawPay(view) {
  const { crypto } = view;
  const isPart = crypto.received_atomic !== "0";
  show("pay", view.is_payable);
  say("asset", crypto.asset);
  say("network", crypto.network_title);
  say("amount-name", isPart ? "Amount still missing" : "Amount");
  say("amount", `${isPart ? crypto.missing : crypto.amount} ${crypto.asset}`);
  $("amount").dataset.value = isPart ? crypto.missing : crypto.amount;
  drawAddress(crypto.address);
  drawCode(crypto);
  $("tap").href = crypto.uri;
  say("warning", `Only ${crypto.asset} on ${crypto.network_title} counts for this payment. Coins of another kind, or on another network, may be lost or need a person to find them.`);
}

// The first and the last characters are those that people compare.
function drawAddress(address) {
  if ($("address").dataset.value === address) return;
  $("address").dataset.value = address;
  $("address").replaceChildren(el("b", {}, address.slice(0, ENDS)), address.slice(ENDS, -ENDS), el("b", {}, address.slice(-ENDS)));
}

function drawCode(crypto) {
  const wanted = `${crypto.network}:${crypto.address}:${crypto.missing_atomic}`;
  if (page.qr === wanted) return;
  page.qr = wanted;
  $("qr").src = `${here}/qr?of=${encodeURIComponent(wanted)}`;
  $("qr").alt = `QR code of the address ${crypto.address}`;
}

function drawLines(view) {
  const { lines } = view.crypto;
  show("receipt", lines.length > 0);
  $("lines").replaceChildren(...lines.map((line) => {
    const [words, look] = LINE_WORDS[line.status] ?? [line.status, ""];
    return el("li", {},
      el("span", { class: "what" }, line.package_id === "deposit" ? "Deposit" : view.title),
      el("span", { class: "much" }, `${grouped(line.credits)} credits`),
      el("small", {}, `${grouped(line.amount)} ${line.asset} · ${money(line.price)}`),
      el("small", { class: look }, words));
  }));
}

function drawTransactions(transactions) {
  show("sent", transactions.length > 0);
  const shown = $("transactions").dataset.shown;
  if (shown === JSON.stringify(transactions)) return; // a link that has the focus stays
  $("transactions").dataset.shown = JSON.stringify(transactions);
  $("transactions").replaceChildren(...transactions.map(({ hash, url }) => el("li", {}, /^https?:\/\//.test(url)
    ? el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, hash) : el("span", { class: "hash" }, hash))));
}

function drawWays(view) {
  const isLeft = Boolean(view.back_url);
  show("back", isLeft && view.ask_again_seconds === null);
  show("leave", isLeft && view.ask_again_seconds !== null);
  if (isLeft) for (const id of ["back", "leave"]) $(id).href = view.back_url;
  show("change", view.is_changeable);
  if (!view.is_changeable) closeChoices();
}

// What had the focus may be gone: the state then has it, so that a keyboard does not begin at the top again.
function keepFocus() {
  const held = document.activeElement;
  if (held && held !== document.body && held.closest("[hidden]")) $("state").focus();
}

function tick() {
  const { view } = page;
  if (!view || !view.is_payable) return;
  const left = Math.max(0, Date.parse(view.crypto.locked_until) - now()) / 1000;
  $("left").max = view.lock_seconds;
  $("left").value = left;
  if (view.crypto.unavailable) say("clock-text", "The clock stands still while the network does not answer.");
  else if (left > 0) say("clock-text", `This amount holds for ${clock(left)}`);
  else say("clock-text", `The amount was held until ${hour(view.crypto.locked_until)}. Coins that come by ${hour(view.expires_at)} still count.`);
  show("left", left > 0 && !view.crypto.unavailable);
}

// --- copying, changing, taking --------------------------------------------------------------------------------------

async function copy(button, what) {
  const node = $(what);
  try {
    await navigator.clipboard.writeText(node.dataset.value);
  } catch {
    window.getSelection().selectAllChildren(node); // without the right to copy: selected, to be copied by hand
    return say("copied", "Selected. Copy it with your keyboard.");
  }
  button.classList.add("is-done");
  button.textContent = "Copied";
  say("copied", what === "amount" ? "The amount is copied." : "The address is copied.");
  setTimeout(() => { button.classList.remove("is-done"); button.textContent = "Copy"; say("copied", ""); }, COPIED_MS);
}

async function openChoices() {
  if (!$("choices").hidden) return closeChoices();
  $("change").disabled = true;
  try {
    const { items } = await call("GET", "networks");
    $("ways").replaceChildren(...items.flatMap((network) => network.assets.map((asset) => way(network, asset))));
    page.chosen = null;
    $("choose").disabled = true;
    $("ways").querySelector("input:checked:not(:disabled)")?.dispatchEvent(new Event("change"));
    show("choices", true);
    $("change").setAttribute("aria-expanded", "true");
    $("ways").querySelector("input:not(:disabled)")?.focus();
  } catch (error) {
    note(error.message);
  } finally {
    $("change").disabled = false;
  }
}

function closeChoices() {
  show("choices", false);
  $("change").setAttribute("aria-expanded", "false");
}

function way(network, asset) {
  const { crypto } = page.view;
  const one = { network: network.network, asset: asset.asset };
  const isPresent = one.network === crypto.network && one.asset === crypto.asset;
  const isHeld = isPresent && Date.parse(crypto.locked_until) > now(); // after the lock, the same again is a new amount
  const facts = asset.is_available ? `usually ${about(network.wait_seconds)}` : `Not now: ${asset.reason}`;
  return el("label", { class: "way" },
    el("input", { type: "radio", name: "way", disabled: !asset.is_available, checked: isPresent, onchange: () => { page.chosen = one; $("choose").disabled = isHeld; } }),
    el("b", {}, `${one.asset} on ${network.title}`), el("small", {}, facts));
}

async function choose(event) {
  event.preventDefault();
  if (!page.chosen) return;
  $("choose").disabled = true;
  const isDone = await act("change", page.chosen);
  $("choose").disabled = isDone;
  if (!isDone) return;
  closeChoices();
  $("change").focus();
}

async function act(path, body) {
  page.turn += 1;
  try {
    const view = await call("POST", path, body);
    page.turn += 1;
    draw(view);
    note("");
    return true;
  } catch (error) {
    note(error instanceof Problem ? error.message : "The payment cannot be reached. Check the connection, then try again.");
    return false;
  }
}

function askToTake() {
  const { crypto } = page.view;
  say("ask-text", `${grouped(crypto.received)} ${crypto.asset} of ${grouped(crypto.amount)} ${crypto.asset} came. You get the credits for that part now, without the package's gift. What comes later is credited as a deposit.`);
  $("ask").showModal();
}

async function take() {
  $("ask").close();
  $("take").disabled = true;
  await act("take");
  $("take").disabled = false;
}

// --- wiring ---------------------------------------------------------------------------------------------------------

$("theme").addEventListener("click", window.toggleTheme);
$("copy-amount").addEventListener("click", (event) => copy(event.currentTarget, "amount"));
$("copy-address").addEventListener("click", (event) => copy(event.currentTarget, "address"));
$("change").addEventListener("click", openChoices);
$("choices").addEventListener("submit", choose);
$("take").addEventListener("click", askToTake);
$("ask-no").addEventListener("click", () => $("ask").close());
$("ask-yes").addEventListener("click", take);
document.addEventListener("visibilitychange", () => (document.hidden ? askLater() : ask()));
setInterval(tick, TICK_MS);
ask();
