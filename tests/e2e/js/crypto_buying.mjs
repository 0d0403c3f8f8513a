// Somebody buys credits with a token: in the playground, on the payer's page, with a wallet that is on another chain.
//
// in:  {chromium, docsUrl, email, package, coin, nodeUrl, account, screenshots: directory or null}
// out: {before, after, live, payer, phases: [{phase, headline, depth}], calls: [method], sent, address, changed: [{asset, network, amount, address, focus}], receipt, back, told, overflow, errors}
import { createRequire } from 'node:module';

import { watch } from '../../support/complaints.mjs';
import { readInput } from '../../support/firebase.mjs';

const require = createRequire(new URL('../../../emulator/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const APPEARS_MS = 120_000;
const ANOTHER_CHAIN = '0x1';

const given = await readInput();
const browser = await chromium.launch({ executablePath: given.chromium, args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
context.setDefaultTimeout(APPEARS_MS);
const calls = [];
const wallet = { chain: ANOTHER_CHAIN, known: new Set([ANOTHER_CHAIN]), sent: null };

async function node(method, params) {
  const answer = await fetch(given.nodeUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }) });
  const { result, error } = await answer.json();
  if (error) throw error;
  return result;
}

/** The wallet: a person's account on the node, which starts on another chain and does not know this one. */
const answers = {
  eth_requestAccounts: () => [given.account],
  eth_chainId: () => wallet.chain,
  wallet_switchEthereumChain: ([{ chainId }]) => {
    if (!wallet.known.has(chainId)) throw Object.assign(new Error('Unrecognized chain ID'), { code: 4902 });
    wallet.chain = chainId;
    return null;
  },
  wallet_addEthereumChain: ([{ chainId }]) => { wallet.known.add(chainId); return null; },
  eth_sendTransaction: async ([transaction]) => {
    if (transaction.chainId !== wallet.chain) throw new Error('The transaction is for another chain');
    wallet.sent = transaction;
    return node('eth_sendTransaction', [transaction]);
  },
};
await context.exposeFunction('askWallet', async (method, params) => {
  calls.push(method);
  try {
    return { result: await answers[method](params ?? []) };
  } catch (error) {
    return { error: { code: error.code, message: error.message } };
  }
});
await context.addInitScript(() => {
  const provider = {
    request: async ({ method, params }) => {
      const { result, error } = await window.askWallet(method, params);
      if (error) throw Object.assign(new Error(error.message), { code: error.code });
      return result;
    },
  };
  const info = { uuid: '1', name: 'Fox', icon: 'data:image/svg+xml,%3Csvg xmlns="http://www.w3.org/2000/svg"/%3E', rdns: 'example.fox' };
  const announce = () => window.dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }));
  window.addEventListener('eip6963:requestProvider', announce);
  document.addEventListener('view', ({ detail }) => {
    const seen = { phase: detail.phase, headline: document.querySelector('#headline').innerText, depth: document.querySelector('#depth').hidden ? null : document.querySelector('#depth-text').innerText };
    const known = JSON.parse(sessionStorage.getItem('phases') ?? '[]');
    if (JSON.stringify(known.at(-1)) !== JSON.stringify(seen)) sessionStorage.setItem('phases', JSON.stringify([...known, seen]));
  });
});

const page = await context.newPage();
const complaints = [watch(page)];
const balance = (where) => where.locator('#pill-amount').innerText();

async function photograph(where, name) {
  if (given.screenshots) await where.screenshot({ path: `${given.screenshots}/crypto-${name}.png`, fullPage: true });
}

async function signUp() {
  await page.goto(`${given.docsUrl}/playground`, { waitUntil: 'load' });
  await page.fill('#email', given.email);
  await page.fill('#password', 'secret-enough');
  await page.click('#enter');
  await page.locator(`#coin option[value="${given.coin}"]`).waitFor({ state: 'attached' });
  await page.waitForFunction(() => document.querySelector('#pill-amount').innerText !== '–');
  await page.click('.dock [data-pane="money"]');
}

/** The same person at the same time: the balance that shows without a reload. */
async function second() {
  const tab = await context.newPage();
  complaints.push(watch(tab));
  await tab.goto(`${given.docsUrl}/playground`, { waitUntil: 'load' });
  await tab.waitForFunction(() => document.querySelector('#live-text').textContent === 'live' && document.querySelector('#pill-amount').innerText !== '–');
  await page.bringToFront();
  return tab;
}

/** Choose other coins on the payer's page, by the words that a person reads. */
async function change(words, network) {
  await page.click('#change');
  await page.locator('.way', { hasText: words }).click();
  await photograph(page, '2-change');
  await page.click('#choose');
  await page.locator('#choices').waitFor({ state: 'hidden' });
  await page.locator(`body[data-network="${network}"]`).waitFor();
  return shown();
}

function shown() {
  return page.evaluate(() => ({ asset: document.querySelector('#asset').innerText, network: document.body.dataset.network, amount: document.querySelector('#amount').dataset.value, address: document.querySelector('#address').dataset.value, focus: document.activeElement.id }));
}

async function pay() {
  await page.click(`[data-package="${given.package}"]`);
  await page.selectOption('#coin', given.coin);
  await photograph(page, '1-choose');
  await page.click('#pay-coins');
  await page.locator('.wallet').waitFor();
  const payer = page.url();
  const changed = [await shown(), await change('USDC on Polygon', 'local-polygon'), await change('ETH on Base', 'local-base'), await change('USDC on Base', 'local-base')];
  const address = await page.locator('#address').innerText();
  await photograph(page, '2-pay');
  await page.click('.wallet');
  await page.waitForFunction(() => /Sent|is-bad/.test(`${document.querySelector('#wallet-says').innerText} ${document.querySelector('#wallet-says').className}`) || document.body.dataset.phase !== 'waiting');
  await photograph(page, '3-sent');
  await page.locator('body[data-phase="settled"]').waitFor();
  await photograph(page, '4-paid');
  return { payer, address, changed, receipt: await page.locator('#lines').innerText(), phases: await page.evaluate(() => JSON.parse(sessionStorage.getItem('phases'))) };
}

async function goBack() {
  await page.click('#back');
  await page.locator('#payment[data-status="settled"]').waitFor();
  await photograph(page, '5-back');
  await page.locator('#payments .is-good').first().waitFor();
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  return { back: page.url(), told: await page.locator('#payment').innerText(), overflow };
}

try {
  await signUp();
  const tab = await second();
  const before = await balance(tab);
  const paid = await pay();
  await tab.waitForFunction((old) => document.querySelector('#pill-amount').innerText !== old, before);
  const [after, live] = [await balance(tab), await tab.locator('#live-text').textContent()];
  const returned = await goBack();
  process.stdout.write(JSON.stringify({ before, after, live, ...paid, calls, sent: wallet.sent, ...returned, errors: complaints.flatMap((each) => each.errors) }), () => process.exit(0));
} catch (error) {
  await photograph(page, 'failed').catch(() => {});
  const said = await page.locator('#wallet-says').innerText().catch(() => '');
  throw new Error(`${error.message ?? JSON.stringify(error)}\nat ${page.url()}\nwallet: ${said}\n${complaints.map((each) => each.told()).join('\n')}`, { cause: error });
} finally {
  await browser.close();
}
