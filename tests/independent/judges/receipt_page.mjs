// The page that checks receipts, opened from a saved file in a browser without a network.
//
// in:  {chromium, page: path, receipts: [{text, policy}], signatures: [[key, message, signature]] in hex, shown: {name: {text, policy}}, screenshots}
// out: {verdicts: [rules or null], signed: [bool], shown: {name: {…}}, requests, errors, milliseconds}
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

import { watch } from '../../support/complaints.mjs';
import { readInput } from '../../support/firebase.mjs';

const require = createRequire(new URL('../../../emulator/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const given = await readInput();
const browser = await chromium.launch({ executablePath: given.chromium, args: ['--no-sandbox'] });
const context = await browser.newContext({ offline: true, viewport: { width: 1100, height: 1300 } });
const page = await context.newPage();
const requests = [];
const { errors } = watch(page);
page.on('request', (request) => requests.push(request.url()));
await page.goto(pathToFileURL(given.page).href);

const verdicts = await page.evaluate(async (receipts) => {
  const found = [];
  for (const { text, policy } of receipts) {
    try {
      const { findings, steps } = await receiptCheck.check(text, policy);
      found.push(findings.map((finding) => finding.rule));
      if (steps.some((step) => step.state === 'bad') !== findings.length > 0) throw new Error('steps and findings differ');
    } catch (error) {
      if (!(error instanceof receiptCheck.NoReceipt)) throw error;
      found.push(null);
    }
  }
  return found;
}, given.receipts);

const signed = await page.evaluate(async (rows) => {
  const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  return Promise.all(rows.map(([key, message, signature]) => receiptCheck.isSigned(bytes(key), bytes(message), bytes(signature))));
}, given.signatures);

const milliseconds = await page.evaluate(async ({ text, policy }) => {
  const times = [];
  for (let turn = 0; turn < 30; turn += 1) {
    const since = performance.now();
    await receiptCheck.check(text, policy);
    times.push(performance.now() - since);
  }
  return times.sort((a, b) => a - b)[15];
}, given.receipts[0]);

const shown = {};
for (const [name, { text, policy }] of Object.entries(given.shown)) {
  await page.evaluate(() => { document.querySelector('details').open = true; });
  await page.fill('#policy', policy);
  await page.fill('#receipt', text);
  await page.waitForFunction((look) => document.getElementById('result').dataset.look === look, name.split(' ')[0]);
  shown[name] = await page.evaluate(() => ({
    headline: document.getElementById('headline').textContent,
    sentence: document.getElementById('sentence').textContent,
    facts: document.getElementById('facts').hidden ? '' : document.getElementById('facts').innerText,
    limits: document.getElementById('limits').hidden ? '' : document.getElementById('limits').innerText,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  }));
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/verify-${name}.png`, fullPage: true });
}

await page.click('#clear');
const isHidden = await page.locator('#result').isHidden();
await page.setInputFiles('#receipt-file', { name: 'receipt.json', mimeType: 'application/json', buffer: Buffer.from(given.receipts[0].text) });
await page.locator('#headline').waitFor();
const fromFile = await page.locator('#headline').innerText();
await page.click('#clear');
await page.evaluate((text) => {
  const data = new DataTransfer();
  data.items.add(new File([text], 'receipt.json'));
  document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
}, given.receipts[0].text);
await page.locator('#headline').waitFor();
const fromDrop = await page.locator('#headline').innerText();
await page.setViewportSize({ width: 360, height: 740 });
const phone = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
await page.click('#theme');
if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/verify-phone.png`, fullPage: true });
const unnamed = await page.evaluate(() => [...document.querySelectorAll('button, input, textarea, a')]
  .filter((each) => !(each.labels?.length || each.textContent.trim() || each.getAttribute('aria-label'))).map((each) => each.outerHTML));

await browser.close();
console.log(JSON.stringify({ verdicts, signed, milliseconds, shown, isHidden, fromFile, fromDrop, phone, unnamed, requests, errors }));
