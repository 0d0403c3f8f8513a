// What stands between a user and spending: an address to verify, a session that ended, a balance that does not suffice.
// Each is told with what to do about it. It builds on playground.js, which is loaded before it.
"use strict";

const LOOK_AGAIN_MS = 2000;
const LAPTOP_TOKEN_SECONDS = 3600;
const NEVER_BEGAN = ["insufficient_credits", "budget_exceeded", "account_frozen", "rate_limited", "limit_reached"];

const verifying = { timer: null };

// --- App Check -----------------------------------------------------------------------------------------------------

// No emulator issues App Check tokens: a laptop takes an unsigned one, as the Auth emulator's own are.
function laptopAppCheck(project) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { sub: "playground", aud: [`projects/${project}`], iat: now, exp: now + LAPTOP_TOKEN_SECONDS };
  const part = (value) => btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  return `${part({ alg: "none", typ: "JWT" })}.${part(claims)}.`;
}

function appCheckHeaders() {
  return state.config?.auth_emulator ? { "X-Firebase-AppCheck": laptopAppCheck(state.config.project) } : {};
}

// --- the address ----------------------------------------------------------------------------------------------------

// Send the link, say where it went, and claim as soon as it was opened: in this browser or in another.
async function verifyAddress() {
  $("verify").hidden = false;
  $("bonus").hidden = true;
  pane("money");
  await sendLink();
  lookForVerification();
}

async function sendLink() {
  const email = state.user.email;
  $("verify-text").textContent = `Sending a link to ${email} …`;
  try {
    await state.user.sendEmailVerification();
    $("verify-text").textContent = `We sent a link to ${email}. Open it, and your bonus is claimed here by itself.`;
    await showLaptopLink(email);
  } catch (error) {
    $("verify-text").textContent = error.code === "auth/too-many-requests"
      ? `A link went to ${email} a moment ago. Look into your spam folder, or wait a minute and send it again.`
      : `The link to ${email} could not be sent. Check the connection, then send it again.`;
  }
}

// On a laptop no mail is sent: the Auth emulator keeps the link.
async function showLaptopLink(email) {
  if (!state.config?.auth_emulator) return;
  const kept = `http://${state.config.auth_emulator}/emulator/v1/projects/${state.config.project}/oobCodes`;
  const mails = await fetch(kept).then((answer) => answer.json()).catch(() => ({ oobCodes: [] }));
  const mail = (mails.oobCodes ?? []).filter((one) => one.email === email.toLowerCase() && one.requestType === "VERIFY_EMAIL").at(-1);
  if (mail) $("verify-text").append(" On a laptop no mail is sent: ", el("a", { href: mail.oobLink, target: "_blank", rel: "noopener" }, "open the link here"), ".");
}

function lookForVerification() {
  clearInterval(verifying.timer);
  verifying.timer = setInterval(() => claimOnceVerified().catch(() => {}), LOOK_AGAIN_MS);
}

function stopVerifying() {
  clearInterval(verifying.timer);
  $("verify").hidden = true;
}

async function claimOnceVerified(isAsked = false) {
  const user = state.user;
  if (!user || $("verify").hidden) return clearInterval(verifying.timer);
  await user.reload();
  if (!user.emailVerified) {
    if (isAsked) toast(`The link to ${user.email} was not opened yet.`, true);
    return;
  }
  clearInterval(verifying.timer);
  await user.getIdToken(true);
  stopVerifying();
  $("bonus").hidden = false;
  await claim();
}

// --- what to do ------------------------------------------------------------------------------------------------------

// One sentence for what an account cannot do now, and the way on.
function advise(account = state.account) {
  if (!account) return;
  state.account = account;
  const isZero = (amount) => Number(amount) === 0;
  const told = account.status === "frozen" ? frozenAdvice()
    : !isZero(account.debt) ? debtAdvice()
    : isZero(account.available) && isZero(account.held) ? emptyAdvice() : null;
  $("advice").hidden = told === null;
  const words = (told?.parts ?? []).map((part) => part.textContent ?? part).join("");
  if ($("advice").textContent !== words) $("advice").replaceChildren(...(told?.parts ?? []));
  $("advice").dataset.kind = told?.kind ?? "";
}

const buyLink = (words) => el("button", { type: "button", class: "link", onclick: showPackages }, words);

function frozenAdvice() {
  const mine = state.user ? ` Your user id is ${state.user.uid}.` : "";
  return { kind: "frozen", parts: [el("b", {}, "Spending is stopped."), ` A payment or this account is being looked at; your credits are kept. Ask support to unfreeze it.${mine}`] };
}

function debtAdvice() {
  return { kind: "debt", parts: [el("b", {}, "You owe credits."), " Money of an earlier payment went back after its credits were spent. The next package pays the debt first. ", buyLink("Buy credits")] };
}

function emptyAdvice() {
  if (state.user?.isAnonymous) return null;
  return { kind: "empty", parts: [el("b", {}, "No credits left."), $("bonus").hidden ? " Buy a package to go on. " : " Claim your welcome bonus, or buy a package. ", buyLink("Buy credits")] };
}

function showPackages() {
  pane("money");
  $("buy").scrollIntoView({ behavior: "smooth", block: "center" });
}

// What a refusal means for a person; null: the API's own sentence says it.
function accountHint(error) {
  return {
    account_frozen: "Spending is stopped while your account is looked at. Ask support to unfreeze it.",
    account_closed: "This account was closed for good. Sign up again to use the app.",
    token_expired: "Your session has ended. Sign in again.",
    token_revoked: "You were signed out. Sign in again.",
    token_invalid: "Your session is not valid any more. Sign in again.",
    already_claimed: "The welcome bonus of this mailbox was claimed before. Buy a package to go on.",
    uid_not_supported: "This account cannot be used here. Sign in with another one.",
    app_check_failed: "The server asks for proof that this is its own app (App Check), which this page cannot give here.",
  }[error.code] ?? null;
}

// A token that ended is renewed once; a session that ended leads back to signing in.
async function renewed(problem) {
  if (problem.status !== 401 || !state.user) return false;
  try {
    await state.user.getIdToken(true);
    return true;
  } catch {
    $("gate-note").textContent = accountHint(problem) ?? "Your session has ended. Sign in again.";
    $("gate-note").classList.add("is-bad");
    await firebase.auth().signOut();
    return false;
  }
}

// A conversation that was begun for a message that was refused is taken back: nothing was said in it.
async function takeBack(turn, error) {
  if (!turn.isNew || !NEVER_BEGAN.includes(error.code)) return;
  const made = turn.conversation;
  Object.assign(turn, { conversation: null, isNew: false });
  if (state.conversation?.id === made.id) state.conversation = null;
  await call("DELETE", `chat/conversations/${made.id}`).catch(() => {});
}

$("verify-again").addEventListener("click", () => sendLink());
$("verify-done").addEventListener("click", () => claimOnceVerified(true).catch(explain));
document.addEventListener("user", (event) => {
  stopVerifying();
  state.account = null;
  $("advice").hidden = true;
});
