// The playground: one page that does what an app would do. It signs in with Firebase Auth, calls the API with the ID
// token, and listens to accounts/{uid} in Firestore, where the balance it shows is the commit itself.
"use strict";

const MICRO = 1000000n;
const PAGE = 20;
const ESTIMATE_AFTER_MS = 450;
const CALLS_MAX = 50;
const USE_AFTER_MS = 600;
const IDEAS = ["Explain double entry in three sentences", "Write a haiku about exact change", "What is a Merkle tree for?"];

const $ = (id) => document.getElementById(id);
const here = new URL(".", window.location.href);        // …/v1/docs/
const api = new URL("../", here);                       // …/v1/

const state = {
  user: null, conversation: null, models: [], tab: "history", entriesCursor: null, threadsCursor: null,
  running: null, calls: [], stopListening: null, hasClaimed: false, lastSeq: null,
};

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

function credits(micro) {
  const value = BigInt(micro);
  const size = value < 0n ? -value : value;
  const rest = (size % MICRO).toString().padStart(6, "0").replace(/0+$/, "");
  return `${value < 0n ? "\u2212" : ""}${grouped(String(size / MICRO))}${rest ? `.${rest}` : ""}`;
}

function grouped(whole) { return whole.replace(/\B(?=(\d{3})+$)/g, "\u202f"); }

function shown(decimal) {
  const [whole, rest] = String(decimal).replace("-", "\u2212").split(".");
  return grouped(whole) + (rest ? `.${rest}` : "");
}

function when(text) {
  const at = new Date(text);
  const isToday = at.toDateString() === new Date().toDateString();
  return at.toLocaleString([], isToday ? { hour: "2-digit", minute: "2-digit", second: "2-digit" } : { dateStyle: "medium", timeStyle: "short" });
}

function toast(text, isBad = false) {
  for (const same of $("toasts").children) if (same.textContent === text) same.remove();
  const node = el("div", { class: `toast${isBad ? " is-bad" : ""}`, role: isBad ? "alert" : null }, text);
  $("toasts").append(node);
  setTimeout(() => node.remove(), isBad ? 7000 : 3500);
}

function pane(name) {
  const app = document.querySelector(".app");
  app.dataset.pane = name;
  for (const button of document.querySelectorAll(".dock button")) {
    button.toggleAttribute("aria-current", false);
    if (button.dataset.pane === name) button.setAttribute("aria-current", "true");
  }
}

// --- the API --------------------------------------------------------------------------------------------------------

class Problem extends Error {
  constructor(body, status) {
    super(named(body.errors) || body.detail || body.title || `HTTP ${status}`);
    Object.assign(this, { code: body.code || "unknown", status, params: body.params || {}, errors: body.errors });
  }
}

// Which fields are wrong, and how: `budget: must be …`.
function named(errors) {
  return Object.entries(errors || {}).map(([field, messages]) => `${field.replaceAll("_", " ")}: ${messages.join(", ")}`).join(" · ");
}

// A failure of the network has no words that a person could use.
function unreachable(error) {
  if (error.name === "AbortError") throw error;
  throw new Problem({ code: "unreachable", detail: "The API cannot be reached. Check the connection, then try again." }, 0);
}

async function request(method, path, { body, key, signal, id, isAgain = false } = {}) {
  const headers = { ...appCheckHeaders(), Authorization: `Bearer ${await state.user.getIdToken().catch(unreachable)}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  if (id) headers["X-Request-Id"] = id;
  const began = performance.now();
  const response = await fetch(new URL(path, api), { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) }).catch(unreachable);
  remember(method, path, response, performance.now() - began);
  if (response.ok) return response;
  const problem = new Problem(await response.json().catch(() => ({})), response.status);
  if (!isAgain && await renewed(problem)) return request(method, path, { body, key, signal, id, isAgain: true });
  throw problem;
}

async function call(method, path, options) {
  const response = await request(method, path, options);
  return response.status === 204 ? null : response.json();
}

function remember(method, path, response, took) {
  state.calls.unshift({
    method, path: path.split("?")[0], status: response.status, took: Math.round(took),
    id: response.headers.get("X-Request-Id"), cost: response.headers.get("X-Credits-Cost"), at: new Date().toISOString(),
  });
  state.calls.length = Math.min(state.calls.length, CALLS_MAX);
  if (state.tab === "calls") drawEntries();
}

// Server-sent events, as the HTML standard cuts them: blank lines between events, the name before the data.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const lines = rest.slice(0, end).split("\n");
      rest = rest.slice(end + 2);
      const read = (name) => lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2)).join("\n");
      if (read("data")) yield { name: read("event") || "message", data: JSON.parse(read("data")) };
    }
  }
}

function explain(error) {
  if (error.name === "AbortError") return;
  const hints = {
    insufficient_credits: $("bonus").hidden ? "Not enough credits for this. Buy some under Credits, or choose a cheaper model."
      : "Not enough credits for this. Your welcome bonus waits under Credits.",
    upstream_unavailable: "The model does not answer. Try again in a while.",
    rate_limited: "That was too much at once. Try again in a moment.",
    forbidden: state.user?.isAnonymous ? "Guests can look, not spend. Add an email under Credits to keep this account." : error.message,
  };
  toast(hints[error.code] || accountHint(error) || error.message || "That did not work.", true);
}

// --- signing in -----------------------------------------------------------------------------------------------------

let isSigningUp = true;

function chooseTab(up) {
  isSigningUp = up;
  $("tab-up").setAttribute("aria-selected", String(up));
  $("tab-in").setAttribute("aria-selected", String(!up));
  $("enter").textContent = up ? "Create account" : "Sign in";
  $("password").autocomplete = up ? "new-password" : "current-password";
}

async function enter(action) {
  const note = $("gate-note");
  note.className = "note";
  for (const id of ["enter", "guest"]) $(id).disabled = true;
  try {
    await action();
  } catch (error) {
    note.textContent = SIGN_IN_PROBLEMS[error.code] || error.message.replace(/^Firebase: /, "");
    note.classList.add("is-bad");
  } finally {
    for (const id of ["enter", "guest"]) $(id).disabled = false;
  }
}

const SIGN_IN_PROBLEMS = {
  "auth/email-already-in-use": "There is an account with this email already. Sign in instead.",
  "auth/invalid-credential": "Email and password do not match.",
  "auth/wrong-password": "Email and password do not match.",
  "auth/user-not-found": "There is no account with this email yet.",
  "auth/weak-password": "The password needs at least 6 characters.",
  "auth/network-request-failed": "The sign-in service cannot be reached.",
};

async function start() {
  $("theme").addEventListener("click", window.toggleTheme);
  if (!window.firebase) return refuse("The Firebase SDK is missing: run the set-up once, then reload this page.");
  const config = state.config = await (await fetch(new URL("playground/config.json", here))).json();
  $("where").textContent = config.auth_emulator ? `${config.project} · laptop` : config.project;
  if (!config.api_key) return refuse("Set WEB_API_KEY to use this page.");
  firebase.initializeApp({ projectId: config.project, apiKey: config.api_key, authDomain: config.auth_domain });
  if (config.auth_emulator) firebase.auth().useEmulator(`http://${config.auth_emulator}`, { disableWarnings: true });
  if (config.firestore_emulator) {
    const [host, port] = config.firestore_emulator.split(/:(?=\d+$)/);
    firebase.firestore().useEmulator(host, Number(port));
  }
  if (config.auth_emulator) $("gate-note").textContent = "On a laptop any address will do; nothing is sent to it.";
  firebase.auth().onAuthStateChanged((user) => (user ? open(user) : close()));
}

function refuse(text) {
  document.body.dataset.view = "gate";
  $("gate-note").textContent = text;
  $("gate-note").classList.add("is-bad");
  for (const id of ["enter", "guest"]) $(id).disabled = true;
}

async function open(user) {
  state.user = user;
  document.body.dataset.view = "app";
  pane("chat");
  newConversation();
  listen(user.uid);
  tellUser(user);
  try {
    await Promise.all([drawMe(), loadModels(), loadThreads(), loadEntries(), loadUse()]);
  } catch (error) {
    explain(error);
  }
}

// Other scripts of this page hear who is here: `event.detail` is the user, or null.
function tellUser(user) { document.dispatchEvent(new CustomEvent("user", { detail: user })); }

function close() {
  tellUser(null);
  state.stopListening?.();
  state.running?.abort();
  Object.assign(state, { user: null, conversation: null, calls: [], stopListening: null, hasClaimed: false, lastSeq: null });
  document.body.dataset.view = "gate";
}

// --- credits --------------------------------------------------------------------------------------------------------

function listen(uid) {
  state.stopListening?.();
  live(false, "connecting");
  state.stopListening = firebase.firestore().doc(`accounts/${uid}`).onSnapshot({ includeMetadataChanges: true }, (snapshot) => {
    live(!snapshot.metadata.fromCache, snapshot.metadata.fromCache ? "connecting" : "live");
    if (snapshot.exists) drawBalance(snapshot.data());
  }, () => live(false, "not live"));
}

function live(isLive, text) {
  for (const node of [$("balance-pill"), document.querySelector(".live")]) node.classList.toggle("is-live", isLive);
  $("live-text").textContent = text;
}

function drawBalance(account) {
  advise(account);
  $("available").textContent = $("pill-amount").textContent = shown(account.available);
  $("held").textContent = shown(account.held);
  $("debt").textContent = shown(account.debt);
  $("seq").textContent = `#${account.seq}`;
  if (state.lastSeq !== null && account.seq !== state.lastSeq) {
    const amount = document.querySelector(".amount");
    amount.classList.remove("is-moved");
    void amount.offsetWidth; // restarts the animation
    amount.classList.add("is-moved");
    if (state.tab !== "calls") loadEntries().catch(explain);
    useSoon();
  }
  state.lastSeq = account.seq;
}

async function drawMe() {
  const me = await call("GET", "me");
  state.hasClaimed = me.welcome_bonus.claimed_at !== null;
  $("upgrade").hidden = !me.is_anonymous;
  $("bonus").hidden = me.is_anonymous || state.hasClaimed;
  $("bonus").textContent = me.welcome_bonus.offer ? `Claim ${shown(me.welcome_bonus.offer)} credits` : "Claim welcome bonus";
  drawBalanceOnce(me.account);
  advise();
}

function drawBalanceOnce(account) {
  if (state.lastSeq !== null) return;
  advise(account);
  $("available").textContent = $("pill-amount").textContent = shown(account.available);
  $("held").textContent = shown(account.held);
  $("debt").textContent = shown(account.debt);
}

async function claim() {
  $("bonus").disabled = true;
  try {
    const bonus = await call("POST", "credits/welcome-bonus", { key: `welcome-${state.user.uid}` });
    toast(`${shown(bonus.amount)} credits are yours.`);
    $("bonus").hidden = true;
  } catch (error) {
    if (error.code === "already_claimed") $("bonus").hidden = true;
    if (error.params?.reason === "unverified") await verifyAddress();
    else explain(error);
  } finally {
    $("bonus").disabled = false;
  }
}

async function upgrade(event) {
  event.preventDefault();
  try {
    const credential = firebase.auth.EmailAuthProvider.credential($("upgrade-email").value, $("upgrade-password").value);
    await state.user.linkWithCredential(credential);
    await state.user.getIdToken(true);
    toast("This account is yours to keep.");
    tellUser(state.user);
    await drawMe();
  } catch (error) {
    toast(SIGN_IN_PROBLEMS[error.code] || error.message, true);
  }
}

async function loadEntries(isMore = false) {
  const cursor = isMore && state.entriesCursor ? `&cursor=${encodeURIComponent(state.entriesCursor)}` : "";
  const kind = state.tab === "holds" ? "&kind=hold" : "";
  const page = await call("GET", `credits/history?limit=${PAGE}${kind}${cursor}`);
  state.entries = isMore ? [...state.entries, ...page.items] : page.items;
  state.entriesCursor = page.next_cursor;
  drawEntries();
}

function drawEntries() {
  const isCalls = state.tab === "calls";
  const rows = isCalls ? state.calls.map(callRow) : (state.entries || []).map(entryRow);
  $("entries").replaceChildren(...(rows.length ? rows : [el("li", { class: "empty" }, "Nothing yet.")]));
  $("more-entries").hidden = isCalls || !state.entriesCursor;
}

function entryRow(entry) {
  const isMoney = state.tab !== "holds";
  const sign = entry.amount.startsWith("-") || entry.amount === "0" ? "" : "+";
  const much = isMoney ? `${sign}${shown(entry.amount)}` : shown(entry.held_after);
  return el("li", { title: `entry ${entry.seq} · ${entry.hash.slice(0, 16)}…` },
    el("span", { class: "what" }, entry.kind), el("span", { class: `much${isMoney && sign ? " is-plus" : ""}` }, much),
    el("small", {}, `#${entry.seq} · ${when(entry.at)}`),
    el("small", {}, isMoney ? shown(entry.balance_after) : "held"));
}

function callRow(made) {
  return el("li", { title: made.id || "" },
    el("span", { class: "what" }, `${made.method} /${made.path}`),
    el("span", { class: `much${made.status >= 400 ? " is-bad" : ""}` }, String(made.status)),
    el("small", {}, when(made.at)),
    el("small", {}, `${made.took} ms${made.cost ? ` · ${shown(made.cost)}` : ""}`));
}

function chooseEntries(tab) {
  state.tab = tab;
  for (const name of ["history", "holds", "calls"]) $(`tab-${name}`).setAttribute("aria-selected", String(name === tab));
  if (tab === "calls") drawEntries();
  else loadEntries().catch(explain);
}

// --- use and cost -----------------------------------------------------------------------------------------------------

let using = 0;
function useSoon() {
  clearTimeout(using);
  using = setTimeout(() => loadUse().catch(explain), USE_AFTER_MS);
}

async function loadUse() {
  if (!state.user) return;
  const from = new Date(Date.now() - (Number($("days").value) - 1) * 86400000).toISOString().slice(0, 10);
  const use = await call("GET", `models/analytics?from=${from}`);
  const colour = Charts.palette(use.total.models);
  $("use-cost").textContent = shown(use.total.cost);
  $("use-count").textContent = `credits · ${use.total.count} ${use.total.count === 1 ? "call" : "calls"}`;
  $("chart").replaceChildren(Charts.bars(use.items, colour, shown));
  $("use-models").replaceChildren(...merged(use.total.models).map((row) => useRow(row, colour)));
}

// The rows of one model, whatever it was used for and with which key, as one.
function merged(rows) {
  const byModel = new Map();
  for (const row of rows) {
    const known = byModel.get(row.model) ?? { model: row.model, kind: row.kind, count: 0, micro: 0n, tokens: 0 };
    known.count += row.count;
    known.micro += micro(row.cost);
    known.tokens += row.input_tokens + row.output_tokens;
    byModel.set(row.model, known);
  }
  return [...byModel.values()];
}

function micro(decimal) {
  const [whole, rest = ""] = decimal.split(".");
  return BigInt(whole) * MICRO + BigInt(rest.padEnd(6, "0"));
}

function useRow(row, colour) {
  const counted = `${row.count} ${row.count === 1 ? "call" : "calls"}${row.tokens ? ` · ${grouped(String(row.tokens))} tokens` : ""}`;
  return el("li", {}, el("i", { class: `swatch c${colour(row.model)}` }),
    el("span", { class: "what" }, row.model ?? row.kind), el("span", { class: "much" }, credits(row.micro)), el("small", {}, counted));
}

// --- models and conversations ---------------------------------------------------------------------------------------

async function loadModels() {
  const page = await call("GET", "models");
  state.models = page.items.filter((model) => model.kind === "chat");
  const preferred = (await call("GET", "models/preferences")).chat_model;
  $("model").replaceChildren(
    el("option", { value: "" }, "Default"),
    el("option", { value: "auto", selected: preferred === "auto" }, "Automatic"),
    ...state.models.map((model) => el("option", { value: model.id, selected: model.id === preferred }, model.display_name)),
  );
}

async function chooseModel() {
  try {
    const kept = await call("GET", "models/preferences");
    await call("PUT", "models/preferences", { body: { ...kept, chat_model: $("model").value || null } });
    estimateSoon();
  } catch (error) {
    explain(error);
  }
}

async function loadThreads(isMore = false) {
  const cursor = isMore && state.threadsCursor ? `&cursor=${encodeURIComponent(state.threadsCursor)}` : "";
  const page = await call("GET", `chat/conversations?limit=${PAGE}${cursor}`);
  const rows = page.items.map(threadRow);
  if (isMore) $("threads").append(...rows);
  else $("threads").replaceChildren(...(rows.length ? rows : [el("li", { class: "empty" }, "Your conversations will stand here.")]));
  state.threadsCursor = page.next_cursor;
  $("more-threads").hidden = !page.next_cursor;
}

function threadRow(thread) {
  return el("li", { "aria-current": thread.id === state.conversation?.id ? "true" : null },
    el("button", { type: "button", onclick: () => openThread(thread).catch(explain) },
      thread.title || "Untitled", el("small", {}, when(thread.updated_at))),
    el("button", { type: "button", class: "drop", "aria-label": `Delete ${thread.title || "conversation"}`, onclick: () => dropThread(thread).catch(explain) }, "✕"));
}

async function openThread(thread) {
  state.running?.abort();
  state.conversation = await call("GET", `chat/conversations/${thread.id}?limit=100`);
  drawTitle(state.conversation.title || "Untitled");
  $("messages").replaceChildren(...state.conversation.messages.items.reverse().map(messageNode));
  $("messages").scrollTop = $("messages").scrollHeight;
  pane("chat");
  await loadThreads();
  estimateSoon();
}

async function dropThread(thread) {
  await call("DELETE", `chat/conversations/${thread.id}`);
  if (state.conversation?.id === thread.id) newConversation();
  await loadThreads();
}

function newConversation() {
  state.running?.abort();
  state.conversation = null;
  drawTitle("New conversation");
  $("messages").replaceChildren(el("div", { class: "welcome" },
    el("h3", {}, "What shall we talk about?"),
    el("p", {}, "Every answer shows its tokens and its exact price."),
    el("div", { class: "ideas" }, ...IDEAS.map((idea) => el("button", { type: "button", onclick: () => { $("prompt").value = idea; send(); } }, idea)))));
  for (const row of $("threads").children) row.removeAttribute("aria-current");
  pane("chat");
  $("prompt").focus();
}

function drawTitle(title) {
  $("title").textContent = title;
  for (const id of ["name-it", "export"]) $(id).hidden = state.conversation === null;
}

async function nameIt() {
  $("name-it").disabled = true;
  try {
    const made = await call("POST", `chat/conversations/${state.conversation.id}/title`, { key: crypto.randomUUID() });
    drawTitle(made.title || "Untitled");
    toast(made.local ? "Named after its first line, at no cost." : `Named for ${shown(made.cost)} credits.`);
    await loadThreads();
  } catch (error) {
    explain(error);
  } finally {
    $("name-it").disabled = false;
  }
}

async function takeAway() {
  const response = await request("GET", `chat/conversations/${state.conversation.id}/export`);
  const link = el("a", { href: URL.createObjectURL(await response.blob()), download: "conversation.ndjson" });
  link.click();
  URL.revokeObjectURL(link.href);
}

function messageNode(message) {
  const node = el("div", { class: `message ${message.role}` },
    message.is_summary ? el("small", {}, "Summary of what came before, for a model whose window it no longer fitted") : null,
    el("div", { class: "text" }, message.content));
  if (message.status === "settling") node.append(el("div", { class: "facts" }, el("b", {}, `At most ${shown(message.at_most)} credits`), el("span", {}, "settling")));
  if (message.cost !== null && message.cost !== undefined) node.append(facts(message, message.usage, message.cost));
  return node;
}

function facts(message, usage, cost) {
  const parts = [el("b", {}, `${shown(cost ?? "0")} credits`)];
  if (usage) parts.push(el("span", {}, `${usage.input_tokens} in · ${usage.output_tokens} out${usage.estimated ? " · estimated" : ""}`));
  parts.push(el("span", { title: message.model_reason || null }, `${message.model || ""}${message.model_reason ? " · chosen" : ""}`));
  if (message.finish_reason && message.finish_reason !== "stop") parts.push(el("span", {}, message.finish_reason.replaceAll("_", " ")));
  return el("div", { class: "facts" }, ...parts);
}

// --- saying something -----------------------------------------------------------------------------------------------

async function send(again = null) {
  const content = again?.content ?? $("prompt").value.trim();
  if (!content || state.running) return;
  const turn = again ?? { content, key: crypto.randomUUID(), model: $("model").value || null };
  turn.request = crypto.randomUUID(); // names this attempt, so that it can be stopped
  if (!again) {
    $("prompt").value = "";
    grow();
    $("messages").querySelector(".welcome")?.remove();
    $("messages").append(messageNode({ role: "user", content }));
  }
  const text = el("div", { class: "text" });
  const node = el("div", { class: "message assistant is-running", "aria-busy": "true" }, text); // read out once, when it is whole
  $("messages").append(node);
  const running = Object.assign(new AbortController(), { turn, text, node });
  busy(running);
  try {
    await stream(running);
  } catch (error) {
    await takeBack(turn, error);
    if (!running.isStopped) node.append(el("div", { class: "facts" }, ...failed(error, turn, node)));
    if (!running.isStopped) explain(error);
  } finally {
    await running.stopping;
    node.classList.remove("is-running");
    node.removeAttribute("aria-busy");
    if (!text.textContent) text.remove();
    busy(null);
    estimateSoon();
    loadThreads().catch(explain);
  }
}

async function stream(running) {
  const { turn, text } = running;
  if (!turn.conversation && !state.conversation) {
    turn.conversation = await call("POST", "chat/conversations", { body: {}, key: `${turn.key}-conversation` });
    turn.isNew = true;
  }
  turn.conversation ??= state.conversation;
  if (state.conversation?.id !== turn.conversation.id) state.conversation = turn.conversation;
  running.signal.throwIfAborted();
  const body = { content: turn.content, stream: true, ...(turn.model ? { model: turn.model } : {}) };
  const path = `chat/conversations/${turn.conversation.id}/messages`;
  const response = await request("POST", path, { body, key: turn.key, id: turn.request, signal: running.signal });
  for await (const event of events(response)) {
    if (event.name === "error") throw new Problem(event.data, event.data.status);
    if (event.name === "done") {
      drawEnd(running, event.data);
      if ($("title").textContent === "New conversation") drawTitle(turn.content.split("\n")[0].slice(0, 80));
    } else if (event.data.delta) {
      text.textContent += event.data.delta;
    }
    follow();
  }
}

function failed(error, turn, node) {
  if (error.name === "AbortError") return [el("span", {}, "You left this answer before it ended.")];
  const retry = el("button", { type: "button", onclick: () => { node.remove(); send(turn); } }, "Try again");
  return [el("span", { class: "is-bad" }, error.code ? error.code.replaceAll("_", " ") : "connection lost"), retry];
}

function busy(controller) {
  state.running = controller;
  $("send").hidden = controller !== null;
  $("stop").hidden = controller === null;
  $("stop").disabled = false;
  noteStop(controller).catch(() => {});
}

function follow() {
  const box = $("messages");
  if (box.scrollHeight - box.scrollTop - box.clientHeight < 160) box.scrollTop = box.scrollHeight;
}

function grow() {
  const prompt = $("prompt");
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight + 2}px`;
}

let estimating = 0;
function estimateSoon() {
  clearTimeout(estimating);
  $("estimate").textContent = "";
  estimating = setTimeout(estimate, ESTIMATE_AFTER_MS);
}

async function estimate() {
  const content = $("prompt").value.trim();
  if (!content || state.running || !state.user) return;
  const body = { content, model: $("model").value || null, conversation_id: state.conversation?.id ?? null };
  try {
    const cost = await call("POST", "models/estimate-cost", { body });
    if ($("prompt").value.trim() === content) $("estimate").textContent = `About ${shown(cost.expected)} credits, never more than ${shown(cost.ceiling)}`;
  } catch (error) {
    $("estimate").textContent = error.message;
  }
}

// --- wiring ---------------------------------------------------------------------------------------------------------

$("tab-up").addEventListener("click", () => chooseTab(true));
$("tab-in").addEventListener("click", () => chooseTab(false));
$("credentials").addEventListener("submit", (event) => {
  event.preventDefault();
  const [email, password] = [$("email").value, $("password").value];
  enter(() => (isSigningUp ? firebase.auth().createUserWithEmailAndPassword(email, password) : firebase.auth().signInWithEmailAndPassword(email, password)));
});
$("guest").addEventListener("click", () => enter(() => firebase.auth().signInAnonymously()));
$("sign-out").addEventListener("click", () => firebase.auth().signOut());
$("balance-pill").addEventListener("click", () => pane("money"));
$("new").addEventListener("click", newConversation);
$("bonus").addEventListener("click", claim);
$("upgrade").addEventListener("submit", upgrade);
$("model").addEventListener("change", chooseModel);
$("days").addEventListener("change", () => loadUse().catch(explain));
$("name-it").addEventListener("click", nameIt);
$("export").addEventListener("click", () => takeAway().catch(explain));
$("more-threads").addEventListener("click", () => loadThreads(true).catch(explain));
$("more-entries").addEventListener("click", () => loadEntries(true).catch(explain));
for (const name of ["history", "holds", "calls"]) $(`tab-${name}`).addEventListener("click", () => chooseEntries(name));
for (const button of document.querySelectorAll(".dock button")) button.addEventListener("click", () => pane(button.dataset.pane));
$("composer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
$("stop").addEventListener("click", () => stopRunning());
$("prompt").addEventListener("input", () => { grow(); estimateSoon(); });
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
});

start().catch((error) => refuse(`This page could not start: ${error.message}`));
