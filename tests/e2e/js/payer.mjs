// Looks at the payer's page in every state, with hands on the keyboard, and with wallets that say no.
//
// in:  {chromium, pages: {state: url}, viewports: {name: {width, height}}, states: {viewport: [state]}, scenarios: [name],
//       screenshots: directory or null}
// out: {seen: {viewport: {state: {headline, sentence, live, names, overflow, depth, sums, lines, back, theme, title}}},
//       codes: {state: {width, height, grey: base64}}, keyboard: {order, copied, outlined, taking},
//       wallets: {scenario: {said, calls, isAgain, isChangeable}}, errors}
import { createRequire } from 'node:module';

import { watch } from '../../support/complaints.mjs';
import { readInput } from '../../support/firebase.mjs';

const require = createRequire(new URL('../../../emulator/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const APPEARS_MS = 60_000;
const TABS_MAX = 20;

const given = await readInput();
const browser = await chromium.launch({ executablePath: given.chromium, args: ['--no-sandbox'] });
const errors = [];

async function open(state, options, prepare = () => {}) {
  const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'], ...options });
  context.setDefaultTimeout(APPEARS_MS);
  const page = await context.newPage();
  const complaints = watch(page).errors;
  await prepare(page);
  await page.goto(given.pages[state], { waitUntil: 'load' });
  await page.locator('#state').waitFor();
  return { page, close: async () => { errors.push(...complaints); await context.close(); } };
}

async function photograph(page, name) {
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/payer-${name}.png`, fullPage: true });
}

// --- every state ------------------------------------------------------------------------------------------------------

async function look(page, state, name) {
  await page.goto(given.pages[state], { waitUntil: 'load' });
  await page.locator('#state').waitFor();
  const told = await page.evaluate(() => {
    const text = (id) => { const node = document.getElementById(id); return node.closest('[hidden]') ? null : node.innerText; };
    return {
      headline: text('headline'), sentence: text('sentence'), depth: text('depth-text'), sums: text('sums'),
      live: document.querySelector('[role="status"]:has(#headline)').ariaLive,
      lines: [...document.querySelectorAll('#lines li')].map((line) => line.innerText),
      back: [...document.querySelectorAll('#back, #leave')].filter((link) => !link.hidden).map((link) => link.href),
      theme: document.documentElement.dataset.theme,
      overflow: document.documentElement.scrollWidth - window.innerWidth,
      title: document.title,
    };
  });
  const names = (await page.locator('body').ariaSnapshot()).split('\n').map((line) => line.trim().replace(/^- /, ''));
  await photograph(page, `${state}-${name}`);
  return { ...told, names };
}

async function lookAtAll(name, viewport, states) {
  const { page, close } = await open(states[0], { viewport, colorScheme: name === 'phone' ? 'dark' : 'light' });
  const told = {};
  for (const state of states) told[state] = await look(page, state, name);
  await close();
  return told;
}

/** The grey pixels of a photograph of the QR code, as a camera sees the screen. */
async function photographOfCode(state, viewport) {
  const { page, close } = await open(state, { viewport, deviceScaleFactor: 2 });
  await page.waitForFunction(() => document.querySelector('#qr').naturalWidth > 0);
  const png = (await page.screenshot()).toString('base64');
  await page.goto('about:blank');
  const pixels = await page.evaluate(async (base64) => {
    const picture = new Image();
    picture.src = `data:image/png;base64,${base64}`;
    await picture.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: picture.width, height: picture.height });
    const context = canvas.getContext('2d');
    context.drawImage(picture, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let grey = '';
    for (let at = 0; at < data.length; at += 4) grey += String.fromCharCode((data[at] + data[at + 1] + data[at + 2]) / 3);
    return { width: canvas.width, height: canvas.height, grey: btoa(grey) };
  }, png);
  await close();
  return pixels;
}

// --- by keyboard ------------------------------------------------------------------------------------------------------

async function byKeyboard(viewport) {
  const { page, close } = await open('waiting', { viewport }, (one) => wallet(one, 'rejects'));
  await page.locator('.wallet').waitFor();
  const order = [];
  for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
    await page.keyboard.press('Tab');
    const focused = await page.evaluate(() => { const { activeElement: node } = document; return node === document.body ? '' : node.id || node.className; });
    if (!focused || order.includes(focused)) break;
    order.push(focused);
  }
  const copied = {};
  for (const what of ['amount', 'address']) {
    await page.locator(`#copy-${what}`).focus();
    await page.keyboard.press('Enter');
    await page.waitForFunction((id) => document.querySelector(`#copy-${id}`).innerText === 'Copied', what);
    copied[what] = [await page.evaluate(() => navigator.clipboard.readText()), await page.locator('#copied').innerText()];
  }
  const outlined = await page.evaluate(() => getComputedStyle(document.querySelector('#copy-address')).outlineStyle);
  await close();
  return { order, copied, outlined, taking: await takingByKeyboard(viewport) };
}

/** A part is taken only after a question, which Escape answers with no. */
async function takingByKeyboard(viewport) {
  const { page, close } = await open('partial', { viewport });
  const sent = [];
  page.on('request', (request) => request.method() === 'POST' && sent.push(new URL(request.url()).pathname.split('/').at(-1)));
  await page.locator('#take').focus();
  await page.keyboard.press('Enter');
  const asked = await page.getByRole('dialog').innerText();
  await photograph(page, 'taking');
  await page.keyboard.press('Escape');
  const isBack = await page.evaluate(() => document.activeElement.id);
  await close();
  return { asked, isBack, sent };
}

// --- wallets that say no ----------------------------------------------------------------------------------------------

/** A wallet that is announced as EIP-6963 says, and answers by a script. */
function wallet(page, scenario) {
  return page.addInitScript((name) => {
    const calls = [];
    window.calls = calls;
    const refuse = (code, message) => { throw Object.assign(new Error(message), { code }); };
    let chain = ['rejects', 'poor', 'busy', 'twice', 'locked'].includes(name) ? '0x2105' : '0x1';
    let isKnown = name !== 'unknown';
    const answers = {
      eth_requestAccounts: () => (name === 'locked' ? [] : [`0x${'12'.repeat(20)}`]),
      eth_chainId: () => chain,
      wallet_switchEthereumChain: ([wanted]) => {
        if (!isKnown) refuse(4902, 'Unrecognized chain ID');
        if (name === 'stays') return null;
        if (name === 'keeps') refuse(4001, 'User rejected the request.');
        chain = wanted.chainId;
        return null;
      },
      wallet_addEthereumChain: () => { isKnown = true; return null; },
      eth_sendTransaction: () => {
        if (name === 'rejects') refuse(4001, 'User rejected the request.');
        if (name === 'poor') refuse(-32000, 'insufficient funds for gas * price + value');
        if (name === 'busy') refuse(-32002, 'Request already pending.');
        return `0x${'cd'.repeat(32)}`;
      },
    };
    const provider = { request: async ({ method, params }) => { calls.push({ method, params: params ?? [] }); return answers[method](params); } };
    const info = { uuid: '1', name: 'Fox', icon: 'https://elsewhere.example/fox.png', rdns: 'example.fox' };
    const announce = () => window.dispatchEvent(new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }));
    window.addEventListener('eip6963:requestProvider', announce);
  }, scenario);
}

async function refused(scenario, viewport) {
  const { page, close } = await open('waiting', { viewport }, (one) => wallet(one, scenario));
  await page.locator('.wallet').click();
  await page.waitForFunction(() => /[.!]$|0x/.test(document.querySelector('#wallet-says').innerText) && !/^(Connect|Confirm|Switch|Add) /.test(document.querySelector('#wallet-says').innerText));
  const said = await page.locator('#wallet-says').innerText();
  if (scenario === 'twice') await page.reload();
  if (scenario === 'twice') await page.locator('.wallet').waitFor();
  const isAgain = await page.locator('.wallet').isEnabled();
  const isChangeable = await page.locator('#change').isVisible();
  const calls = await page.evaluate(() => window.calls);
  await photograph(page, `wallet-${scenario}`);
  await close();
  return { said, calls, isAgain, isChangeable };
}

const phone = given.viewports.phone;
const seen = {};
for (const [name, viewport] of Object.entries(given.viewports)) seen[name] = await lookAtAll(name, viewport, given.states[name]);
const codes = {};
for (const state of ['waiting', 'bitcoin']) codes[state] = await photographOfCode(state, phone);
const keyboard = await byKeyboard(phone);
const wallets = {};
for (const scenario of given.scenarios) wallets[scenario] = await refused(scenario, phone);
await browser.close();
process.stdout.write(JSON.stringify({ seen, codes, keyboard, wallets, errors }), () => process.exit(0));
