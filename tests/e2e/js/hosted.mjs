// Somebody pays: visits to hosted payment pages, each in a browser of a given size, pressing one button after another.
//
// in:  {chromium, screenshots: directory or null, visits: [{name, url, width, height, email?, presses: [action, …]}]}
// out: {name: {first, last: {url, title, text, buttons, overflow, smallest}, requests, errors}}
import { createRequire } from 'node:module';

import { watch } from '../../support/complaints.mjs';
import { readInput } from '../../support/firebase.mjs';

const require = createRequire(new URL('../../../emulator/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const APPEARS_MS = 60_000;

const given = await readInput();
const browser = await chromium.launch({ executablePath: given.chromium, args: ['--no-sandbox'] });

async function visit({ name, url, width, height, email, presses }) {
  const page = await browser.newPage({ viewport: { width, height }, isMobile: width < 600, deviceScaleFactor: 2 });
  page.setDefaultTimeout(APPEARS_MS);
  const requests = [];
  const { errors } = watch(page);
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(url, { waitUntil: 'load' });
  const first = await look(page);
  await photograph(page, name);
  for (const action of presses) {
    if (email) await page.fill('input[type=email]', email);
    await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.click(`button[value=${action}]`)]);
  }
  const last = await look(page);
  if (presses.length) await photograph(page, `${name}-after`);
  await page.close();
  return { first, last, requests, errors };
}

async function look(page) {
  return {
    url: page.url(),
    ...(await page.evaluate(() => {
      const heights = [...document.querySelectorAll('button, a.button')].map((each) => each.getBoundingClientRect().height);
      return {
        title: document.title,
        text: document.body.innerText,
        buttons: [...document.querySelectorAll('button')].map((each) => each.value),
        overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        smallest: heights.length ? Math.min(...heights) : null,
      };
    })),
  };
}

async function photograph(page, name) {
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/${name}.png`, fullPage: true });
}

const seen = {};
for (const each of given.visits) seen[each.name] = await visit(each);
await browser.close();
process.stdout.write(JSON.stringify(seen), () => process.exit(0));
