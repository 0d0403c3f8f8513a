// Pays from a wallet in this browser, without a library: EIP-6963 lists the wallets, EIP-1193 talks to the one chosen.
// The backend says which transaction pays; the wallet shows it, signs it and sends it. It builds on payer.js.
"use strict";

const NAME_MAX = 40;
const WORDS_MAX = 160;
const LEGACY_AFTER_MS = 300;
const REJECTED = 4001, NOT_ALLOWED = 4100, UNKNOWN_CHAIN = 4902, IS_ASKING = -32002;
const AGAIN_AFTER_MS = 60000;
const HASH = /^0x[0-9a-f]{64}$/i;
const sentKey = `sent:${here}`;
const wallets = { known: new Map(), isBusy: false, sent: remembered() };

// --- which wallets are here -----------------------------------------------------------------------------------------

function announce({ detail }) {
  const { info, provider } = detail ?? {};
  if (typeof provider?.request !== "function" || typeof info?.uuid !== "string" || wallets.known.has(info.uuid)) return;
  addWallet(info.uuid, { name: String(info.name || "Browser wallet").slice(0, NAME_MAX), icon: iconOf(info.icon), provider });
}

// A wallet says what its picture is. Anything but a picture inside the announcement could call another host.
function iconOf(icon) { return typeof icon === "string" && /^data:image\/(png|webp|gif|jpeg|svg\+xml)[;,]/.test(icon) ? icon : null; }

function addWallet(id, wallet) {
  wallets.known.set(id, wallet);
  $("wallet-buttons").append(el("button", { type: "button", class: "wallet", onclick: () => pay(wallet) },
    wallet.icon ? el("img", { src: wallet.icon, alt: "", width: 28, height: 28 }) : null, `Pay with ${wallet.name}`));
  drawWallets(page.view);
}

// A wallet older than EIP-6963 announces nothing and stands in `window.ethereum`.
function addLegacy() {
  const provider = window.ethereum;
  if (!wallets.known.size && typeof provider?.request === "function") addWallet("legacy", { name: "your browser's wallet", icon: null, provider });
}

function drawWallets(view) {
  show("wallets", Boolean(view?.wallet) && wallets.known.size > 0);
  for (const button of $("wallet-buttons").children) button.disabled = wallets.isBusy || isSent(view);
  if (isSent(view) && !wallets.isBusy) tell(`Sent, and on its way to the network: ${wallets.sent.hash}`);
  // Other coins would be paid beside those on their way. After a refusal the button is back at once, before any answer.
  show("change", Boolean(view?.is_changeable) && !wallets.isBusy && !isSent(view));
  show("again", isSent(view) && !wallets.isBusy && Date.now() - wallets.sent.at > AGAIN_AFTER_MS);
}

// --- paying ---------------------------------------------------------------------------------------------------------

async function pay({ name, provider }) {
  if (wallets.isBusy || isSent(page.view)) return;
  busy(true);
  try {
    const from = await accountOf(provider, name);
    const wanted = await latest();
    await useChain(provider, wanted, name);
    tell(`Confirm the payment of ${amountShown()} in ${name}.`);
    const hash = await provider.request({ method: "eth_sendTransaction", params: [{ from, ...wanted.transaction, chainId: wanted.chain_id }] });
    if (!HASH.test(hash)) throw new WalletProblem(`${name} gave no transaction. Look there whether it was sent before you try again.`);
    remember(hash);
  } catch (error) {
    tell(sentence(error, name), true);
  } finally {
    busy(false);
    ask();
  }
}

async function accountOf(provider, name) {
  tell(`Connect in ${name}.`);
  const accounts = await provider.request({ method: "eth_requestAccounts" });
  if (!accounts?.[0]) throw new WalletProblem(`${name} has shared no account. Unlock it, then try again.`);
  return accounts[0];
}

// What is to be paid now: something may have come from elsewhere since the page was drawn.
async function latest() {
  const view = await call("GET", "state").catch(() => { throw new WalletProblem("This page cannot reach the payment right now. Nothing was sent."); });
  draw(view);
  if (!view.wallet) throw new WalletProblem("This payment takes no more coins. Nothing was sent.");
  return view.wallet;
}

async function useChain(provider, wanted, name) {
  if (await isOn(provider, wanted)) return;
  tell(`Switch to ${wanted.chain_name} in ${name}.`);
  try {
    await switchTo(provider, wanted);
  } catch (error) {
    if (codeOf(error) !== UNKNOWN_CHAIN) throw error;
    await addChain(provider, wanted, name);
    if (!await isOn(provider, wanted)) await switchTo(provider, wanted);
  }
  if (!await isOn(provider, wanted)) throw new WalletProblem(`${name} is still on another network. Choose ${wanted.chain_name} there, then try again.`);
}

async function isOn(provider, wanted) { return Number(await provider.request({ method: "eth_chainId" })) === Number(wanted.chain_id); }

function switchTo(provider, wanted) { return provider.request({ method: "wallet_switchEthereumChain", params: [{ chainId: wanted.chain_id }] }); }

function addChain(provider, wanted, name) {
  if (!wanted.rpc_urls.length) {
    throw new WalletProblem(`${name} does not know ${wanted.chain_name}. Add it there (chain id ${Number(wanted.chain_id)}), then try again.`);
  }
  tell(`Add ${wanted.chain_name} in ${name}.`);
  const [chainId, chainName, nativeCurrency, rpcUrls] = [wanted.chain_id, wanted.chain_name, wanted.coin, wanted.rpc_urls];
  const more = wanted.explorer_urls.length ? { blockExplorerUrls: wanted.explorer_urls } : {};
  return provider.request({ method: "wallet_addEthereumChain", params: [{ chainId, chainName, nativeCurrency, rpcUrls, ...more }] });
}

function amountShown() { return $("amount").textContent; }

// --- what the wallet says, in words ----------------------------------------------------------------------------------

class WalletProblem extends Error {}

// MetaMask on phones wraps the code of the chain that it does not know.
function codeOf(error) { return error?.data?.originalError?.code ?? error?.code; }

function sentence(error, name) {
  if (error instanceof WalletProblem) return error.message;
  const code = codeOf(error);
  if (code === REJECTED) return `You declined in ${name}. Nothing was sent.`;
  if (code === IS_ASKING) return `${name} is asking already: open it and answer there.`;
  if (code === NOT_ALLOWED) return `${name} does not let this page use that account. Connect it there, then try again.`;
  const words = String(error?.message ?? "").split("\n")[0].slice(0, WORDS_MAX);
  if (/insufficient funds/i.test(words)) return `The account has too little for the amount and the network's fee. Nothing was sent.`;
  return `${name} could not send${words ? `: ${words.replace(/\.$/, "")}` : ""}. Look there whether it was sent before you try again.`;
}

function tell(text, isBad = false) {
  say("wallet-says", text);
  $("wallet-says").classList.toggle("is-bad", isBad);
}

// --- once is enough --------------------------------------------------------------------------------------------------

function busy(isBusy) {
  wallets.isBusy = isBusy;
  drawWallets(page.view);
}

// Sent from here, and not seen on the chain yet: paying again would pay twice. What came makes the rest payable again.
function isSent(view) { return wallets.sent !== null && view?.crypto.missing_atomic === wallets.sent.missing && view.crypto.state !== "late"; }

function remember(hash) {
  wallets.sent = { hash, missing: page.view.crypto.missing_atomic, at: Date.now() };
  try { sessionStorage.setItem(sentKey, JSON.stringify(wallets.sent)); } catch { /* a private window forgets */ }
}

// The network may drop or turn back a transaction; its sender sees that in the wallet, and only then pays again.
function forget() {
  wallets.sent = null;
  try { sessionStorage.removeItem(sentKey); } catch { /* nothing was remembered */ }
  tell("");
  if (page.view) draw(page.view);
}

function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(sentKey));
  } catch {
    return null;
  }
}

$("again").addEventListener("click", forget);
document.addEventListener("view", (event) => drawWallets(event.detail));
window.addEventListener("eip6963:announceProvider", announce);
window.dispatchEvent(new Event("eip6963:requestProvider"));
setTimeout(addLegacy, LEGACY_AFTER_MS);
