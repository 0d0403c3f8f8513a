// What a person sees: the API reference and the playground, in a real browser.
//
// in:  {chromium, docsUrl, email, question, screenshots: directory or null}
// out: {swagger: {…}, playground: {…}, guest: {…}}, each with every request it made and every error of its console
import { createRequire } from 'node:module';

import { readInput } from '../../support/firebase.mjs';

const require = createRequire(new URL('../../../emulator/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const APPEARS_MS = 30_000;

const given = await readInput();
const browser = await chromium.launch({ executablePath: given.chromium, args: ['--no-sandbox'] });

async function onPage(path, visit, name = path) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(APPEARS_MS);
  const requests = [];
  const errors = [];
  page.on('request', (request) => requests.push(request.url()));
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  try {
    await page.goto(`${given.docsUrl}/${path}`, { waitUntil: 'load' });
    const seen = await visit(page);
    if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/${name}.png` });
    return { ...seen, requests, errors };
  } catch (error) {
    if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/${name}.png` });
    throw new Error(`${path}: ${error.message}\nconsole: ${errors.join('\n')}`);
  } finally {
    await page.close();
  }
}

async function readReference(page) {
  await page.locator('.opblock').first().waitFor();
  const title = await page.locator('.info .title').first().innerText();
  return { title, operations: await page.locator('.opblock').count() };
}

/** A guest may look, not spend: no bonus is offered, but a way to stay. */
async function lookAround(page) {
  await page.click('#guest');
  await page.locator('#upgrade').waitFor();
  return { isBonusOffered: await page.locator('#bonus').isVisible(), available: await shown(page, '#available') };
}

async function useApp(page) {
  await page.fill('#email', given.email);
  await page.fill('#password', 'secret-enough');
  await page.click('#enter');
  await page.locator('#bonus').waitFor();
  const atFirst = await shown(page, '#available');

  await page.click('#bonus');
  const withBonus = await changed(page, '#available', atFirst);

  await watchGrowth(page);
  await page.fill('#prompt', given.question);
  await page.click('#send');
  const whileHeld = await changed(page, '#available', withBonus);
  await page.locator('#stop').waitFor({ state: 'hidden' });
  return {
    atFirst,
    withBonus,
    whileHeld,
    held: await settled(page, '#held', '0'),
    atLast: await shown(page, '#available'),
    lengths: await page.evaluate(() => window.lengthsSeen),
    said: await page.locator('#messages').innerText(),
    live: await shown(page, '#live-text'),
  };
}

const shown = (page, selector) => page.locator(selector).innerText();

async function changed(page, selector, from) {
  await page.waitForFunction(([where, old]) => document.querySelector(where).innerText !== old, [selector, from]);
  return shown(page, selector);
}

async function settled(page, selector, value) {
  await page.waitForFunction(([where, wanted]) => document.querySelector(where).innerText === wanted, [selector, value]);
  return shown(page, selector);
}

/** How long the conversation was each time it changed: a stream is seen as many steps, a reply as one. */
async function watchGrowth(page) {
  await page.evaluate(() => {
    window.lengthsSeen = [];
    const messages = document.querySelector('#messages');
    const note = () => window.lengthsSeen.push(messages.innerText.length);
    new MutationObserver(note).observe(messages, { childList: true, subtree: true, characterData: true });
  });
}

const swagger = await onPage('swagger', readReference);
const playground = await onPage('playground', useApp);
const guest = await onPage('playground', lookAround, 'guest');
await browser.close();
process.stdout.write(JSON.stringify({ swagger, playground, guest }), () => process.exit(0));
