// Somebody's first minutes under production's defaults: sign up, verify, bonus, pay, cancel, pay, stop, and what each
// account that cannot spend is told. Nothing is reloaded by hand: a mark on the window is still there at the end of a part.
//
// in:  {chromium, docsUrl, apiUrl, authUrl, project, email, question, appCheck, screenshots: directory or null}
// out: {[step]: what was seen}
import { createRequire } from 'node:module';

import { watch } from '../../support/complaints.mjs';
import { readInput } from '../../support/firebase.mjs';

const require = createRequire(new URL('../../../emulator/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const APPEARS_MS = 90_000;
const PASSWORD = 'secret-enough';

const given = await readInput();
const browser = await chromium.launch({ executablePath: given.chromium, args: ['--no-sandbox'] });
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
context.setDefaultTimeout(APPEARS_MS);
const page = await context.newPage();
const errors = [];
const { told } = watch(page);
page.on('pageerror', (error) => errors.push(String(error)));
const seen = {};

const text = (selector) => page.locator(selector).innerText();
const balance = () => text('#pill-amount');
const differs = (selector, old) => page.waitForFunction(([where, from]) => !['–', from].includes(document.querySelector(where).innerText), [selector, old]);
const marked = () => page.evaluate(() => { window.isSameVisit = true; });
const isSameVisit = () => page.evaluate(() => window.isSameVisit === true);
const advice = async (kind) => {
  await page.locator(`#advice[data-kind="${kind}"]`).waitFor();
  return text('#advice');
};

// ── behind the page ──────────────────────────────────────────────────────────────────────────────────────────────────

async function asked(url, method, body, headers = {}) {
  const answer = await fetch(url, { method, headers: { 'Content-Type': 'application/json', ...headers }, body: body && JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

const identity = (act) => `${given.authUrl}/identitytoolkit.googleapis.com/v1/accounts:${act}?key=any`;

async function operator() {
  const login = { email: `root-${given.email}`, password: PASSWORD, returnSecureToken: true };
  const { localId } = await asked(identity('signUp'), 'POST', login);
  const roles = JSON.stringify({ roles: ['admin'] });
  await asked(identity('update'), 'POST', { localId, customAttributes: roles }, { Authorization: 'Bearer owner' });
  return (await asked(identity('signInWithPassword'), 'POST', login)).idToken;
}

const call = (token, method, path, body) => asked(`${given.apiUrl}/v1/${path}`, method, body, { Authorization: `Bearer ${token}`, 'X-Firebase-AppCheck': given.appCheck });

async function link() {
  const { oobCodes } = await asked(`${given.authUrl}/emulator/v1/projects/${given.project}/oobCodes`, 'GET');
  return oobCodes.filter((mail) => mail.email === given.email).map((mail) => mail.oobLink);
}

// ── the visit ────────────────────────────────────────────────────────────────────────────────────────────────────────

async function signUp() {
  await page.goto(`${given.docsUrl}/playground`, { waitUntil: 'load' });
  await marked();
  await page.fill('#email', given.email);
  await page.fill('#password', PASSWORD);
  await page.click('#enter');
  await page.locator('#bonus').waitFor();
  return { balance: await balance(), offer: await text('#bonus'), advice: await advice('empty') };
}

async function refusedMessage() {
  await page.fill('#prompt', 'Can I have something for nothing?');
  await page.click('#send');
  await page.locator('.message.assistant .is-bad').waitFor();
  await page.locator('#threads .empty').waitFor();
  const told = await page.locator('.toast.is-bad').last().innerText();
  return { told, threads: await text('#threads') };
}

async function verify() {
  await page.click('#bonus');
  await page.locator('#verify-text', { hasText: 'We sent a link' }).waitFor();
  const told = await text('#verify-text');
  const before = (await link()).length;
  await page.click('#verify-done');
  await page.locator('.toast.is-bad', { hasText: 'not opened yet' }).waitFor();
  await page.click('#verify-again');
  await page.waitForFunction(([where]) => document.querySelector(where).innerText.includes('We sent a link'), ['#verify-text']);
  for (let tries = 0; (await link()).length === before && tries < 100; tries += 1) await page.waitForTimeout(200);
  const links = await link();
  const other = await context.newPage();
  await other.goto(links.at(-1));
  await other.close();
  await page.waitForFunction(() => document.querySelector('#pill-amount').innerText.startsWith('1'));
  await page.locator('#verify').waitFor({ state: 'hidden' });
  return { told, mails: [before, links.length], balance: await balance(), isSameVisit: await isSameVisit() };
}

async function openShop() {
  await page.click('[data-package="plus"]');
  await page.click('[data-provider="stripe"]');
  await page.locator('button[value="paid"]').waitFor();
}

async function cancel() {
  await openShop();
  await page.click('button[value="cancel"]');
  await page.locator('.toast', { hasText: 'without paying' }).waitFor();
  await page.locator('#payment[data-status="cancelled"]').waitFor();
  await page.locator('#payment', { hasText: 'Try again' }).waitFor();
  return { balance: await settledBalance(), told: await text('#payment') };
}

async function settledBalance() {
  await page.waitForFunction(() => document.querySelector('#pill-amount').innerText !== '–');
  return balance();
}

async function pay() {
  const before = await settledBalance();
  await openShop();
  await page.click('button[value="paid"]');
  await page.locator('#payment[data-status="settled"]').waitFor();
  await differs('#pill-amount', before);
  return { before, after: await balance(), told: await text('#payment') };
}

async function stop() {
  await marked();
  await page.fill('#prompt', given.question);
  await page.click('#send');
  await page.waitForFunction(() => (document.querySelector('.message.assistant .text')?.innerText ?? '').length > 10);
  await page.click('#stop');
  await page.locator('.message.assistant .facts b').waitFor();
  return { told: await text('.message.assistant .facts'), isSameVisit: await isSameVisit() };
}

async function frozen(root, uid) {
  await call(root, 'POST', `admin/users/${uid}/freeze`, { reason: 'a look' });
  const told = await advice('frozen');
  await page.fill('#prompt', 'Still there?');
  await page.click('#send');
  await page.locator('.toast.is-bad', { hasText: 'Ask support' }).waitFor();
  await call(root, 'POST', `admin/users/${uid}/unfreeze`, { reason: 'looked' });
  await page.waitForFunction(() => document.querySelector('#advice').hidden);
  return { told };
}

/** All credits spent, once the stopped answer is settled. */
async function emptied(token) {
  await page.waitForFunction(() => document.querySelector('#held').innerText === '0');
  const { available } = await call(token, 'GET', 'credits/balance');
  const held = await call(token, 'POST', 'credits/reserve', { amount: available });
  await call(token, 'POST', `credits/reservations/${held.id}/capture`, { amount: available });
  return { told: await advice('empty') };
}

async function indebted(root, token) {
  const { items } = await call(token, 'GET', 'payments/history');
  const paid = items.find((payment) => payment.status === 'settled');
  await call(root, 'POST', `admin/payments/${paid.id}/refund`, { reason: 'asked for' });
  return { told: await advice('debt'), debt: await text('#debt') };
}

async function renewed() {
  let refused = 0;
  await page.route('**/v1/credits/history**', async (route) => {
    const isFirst = refused === 0;
    refused = 1;
    const expired = { status: 401, contentType: 'application/problem+json', body: JSON.stringify({ code: 'token_expired', status: 401, detail: 'The token has expired.' }) };
    return isFirst ? route.fulfill(expired) : route.continue();
  });
  await page.click('#tab-history');
  await page.waitForResponse((answer) => answer.url().includes('/credits/history') && answer.ok());
  await page.unroute('**/v1/credits/history**');
  return { refused, isSameVisit: await isSameVisit() };
}

async function ended() {
  await page.route('**/v1/credits/history**', (route) => route.fulfill({ status: 401, contentType: 'application/problem+json', body: JSON.stringify({ code: 'token_revoked', status: 401 }) }));
  await page.route('**/securetoken.googleapis.com/**', (route) => route.fulfill({ status: 400, contentType: 'application/json', body: JSON.stringify({ error: { code: 400, message: 'TOKEN_EXPIRED' } }) }));
  await page.click('#tab-history');
  await page.locator('#credentials').waitFor();
  return { told: await text('#gate-note') };
}

async function photograph(name) {
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/first-${name}.png` });
}

async function step(name, act, ...given_) {
  seen[name] = await act(...given_);
  await photograph(name);
}

try {
  await step('signUp', signUp);
  await step('refusedMessage', refusedMessage);
  await step('verify', verify);
  await step('cancel', cancel);
  await step('pay', pay);
  await step('stop', stop);
  const root = await operator();
  const login = await asked(identity('signInWithPassword'), 'POST', { email: given.email, password: PASSWORD, returnSecureToken: true });
  await step('frozen', frozen, root, login.localId);
  await step('emptied', emptied, login.idToken);
  await step('indebted', indebted, root, login.idToken);
  await step('renewed', renewed);
  await step('ended', ended);
} catch (error) {
  await photograph('failed');
  throw new Error(`${error.message}\nat ${page.url()}\nseen: ${JSON.stringify(seen)}\n${told()}`, { cause: error });
}
await browser.close();
process.stdout.write(JSON.stringify({ ...seen, errors }), () => process.exit(0));
