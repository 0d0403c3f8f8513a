// Somebody buys credits in the playground: through each provider's page and back, on a desk and on a phone.
//
// in:  {chromium, docsUrl, email, screenshots: directory or null, purchases: [{name, package, provider, press, declined, width, height}]}; `declined` is pressed first, if it is there
// out: {name: {before, page, refused, back, status, after, row, overflow, errors}}
import { createRequire } from 'node:module';

import { watch } from '../../support/complaints.mjs';
import { readInput } from '../../support/firebase.mjs';

const require = createRequire(new URL('../../../emulator/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const APPEARS_MS = 60_000;

const given = await readInput();
const browser = await chromium.launch({ executablePath: given.chromium, args: ['--no-sandbox'] });
const context = await browser.newContext();
context.setDefaultTimeout(APPEARS_MS);
const page = await context.newPage();
const { errors, told } = watch(page);

const balance = () => page.locator('#pill-amount').innerText();

async function signUp() {
  await page.goto(`${given.docsUrl}/playground`, { waitUntil: 'load' });
  await page.fill('#email', given.email);
  await page.fill('#password', 'secret-enough');
  await page.click('#enter');
  await page.locator('#methods button').first().waitFor({ state: 'attached' });
  await page.waitForFunction(() => document.querySelector('#pill-amount').innerText !== '–');
}

async function buy({ name, package: wanted, provider, press, declined, width, height }) {
  await page.setViewportSize({ width, height });
  if (width < 600) await page.click('.dock [data-pane="money"]');
  const before = await balance();
  await page.click(`[data-package="${wanted}"]`);
  await photograph(`${name}-1-choose`);
  await page.click(`[data-provider="${provider}"]`);
  await page.locator(`button[value="${press}"]`).waitFor();
  const shop = page.url();
  const refused = declined ? await declining(declined, press) : null;
  await photograph(`${name}-2-pay`);
  await page.click(`button[value="${press}"]`);
  await page.locator('#payment').waitFor();
  const back = page.url();
  // From here on nothing is loaded again: what changes is what the listeners tell.
  await page.locator('#payment[data-status="settled"]').waitFor();
  await page.waitForFunction((old) => !['–', old].includes(document.querySelector('#pill-amount').innerText), before);
  await page.locator('#payments .is-good').first().waitFor();
  await photograph(`${name}-3-back`);
  return {
    before,
    shop,
    refused,
    back,
    live: await page.locator('#live-text').textContent(),
    told: await page.locator('#payment').innerText(),
    after: await balance(),
    row: await page.locator('#payments li').first().innerText(),
    receipt: await receipt(),
    overflow: await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth),
  };
}

// What the link opens, if there is one.
async function receipt() {
  const link = page.locator('#payment a', { hasText: 'Receipt' });
  if (!await link.count()) return null;
  const [opened] = await Promise.all([page.context().waitForEvent('page'), link.click()]);
  await opened.waitForLoadState();
  const shown = { url: opened.url(), text: await opened.locator('main').innerText() };
  await opened.close();
  return shown;
}

/** What is told of a payment that the provider does not take; the way back to its page is found there. */
async function declining(declined, press) {
  await page.click(`button[value="${declined}"]`);
  await page.locator('#payment .payment-status.is-bad').waitFor();
  const told = await page.locator('#payment').innerText();
  await page.click('#payment a');
  await page.locator(`button[value="${press}"]`).waitFor();
  return told;
}

async function photograph(name) {
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/buying-${name}.png` });
}

const seen = {};
try {
  await signUp();
  for (const each of given.purchases) seen[each.name] = await buy(each);
} catch (error) {
  await photograph('failed');
  throw new Error(`${error.message}\nat ${page.url()}\n${told()}`, { cause: error });
}
await browser.close();
process.stdout.write(JSON.stringify({ seen, errors }), () => process.exit(0));
