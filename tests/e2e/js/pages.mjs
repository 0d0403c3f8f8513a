// What a person sees: the API reference and the playground, in a real browser.
//
// in:  {chromium, docsUrl, email, question, picture, screenshots: directory or null}
// out: {swagger: {…}, reference: {…}, playground: {…}, phone: {…}, guest: {…}, painter: {…}}, each with every request it made and every error of its console
import { createRequire } from 'node:module';

import { watch } from '../../support/complaints.mjs';
import { readInput } from '../../support/firebase.mjs';

const require = createRequire(new URL('../../../emulator/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const APPEARS_MS = 60_000;

const given = await readInput();
const browser = await chromium.launch({ executablePath: given.chromium, args: ['--no-sandbox'] });

const DESK = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };

async function onPage(path, visit, name = path, viewport = DESK) {
  const page = await browser.newPage({ viewport });
  page.setDefaultTimeout(APPEARS_MS);
  const requests = [];
  const { errors, told } = watch(page);
  page.on('request', (request) => requests.push(request.url()));
  try {
    await page.goto(`${given.docsUrl}/${path}`, { waitUntil: 'load' });
    const seen = await visit(page);
    if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/${name}.png` });
    return { ...seen, requests, errors };
  } catch (error) {
    if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/${name}.png` });
    throw new Error(`${name}: ${error.message}\n${told()}`, { cause: error });
  } finally {
    await page.close();
  }
}

async function readReference(page) {
  await page.locator('.opblock-tag').first().waitFor();
  const title = await page.locator('.info .title').first().innerText();
  let operations = 0;
  for (const tag of await page.locator('.opblock-tag').all()) {
    await tag.click();
    await page.locator('.opblock').first().waitFor();
    operations += await page.locator('.opblock').count();
    await tag.click();
    await page.waitForFunction(() => document.querySelectorAll('.opblock').length === 0);
  }
  return { title, operations };
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
    use: await use(page),
  };
}

/** The charts, once they show what the answers cost. */
async function use(page) {
  await page.locator('.chart .bar').first().waitFor({ state: 'attached' });
  return {
    cost: await page.locator('#use-cost').textContent(),
    count: await page.locator('#use-count').textContent(),
    bars: await page.locator('.chart .bar').count(),
    told: await page.locator('.chart .column title').last().textContent(),
    columns: await page.locator('.chart .column').count(),
    models: await page.locator('#use-models li').allTextContents(),
  };
}

/** The same on a phone: one pane at a time, nothing wider than the screen. */
async function useOnAPhone(page) {
  await page.click('#tab-in');
  await page.fill('#email', given.email);
  await page.fill('#password', 'secret-enough');
  await page.click('#enter');
  await page.locator('#prompt').waitFor();
  const before = await changed(page, '#pill-amount', '–');
  const widths = { chat: await overflow(page) };
  await page.fill('#prompt', 'And on a phone?');
  await page.click('#send');
  await page.locator('.message.assistant .facts').waitFor();
  await changed(page, '#pill-amount', before);
  const cost = await page.locator('.message.assistant .facts b').innerText();
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/phone-chat.png` });
  await page.click('.dock [data-pane="money"]');
  await page.waitForFunction(() => document.querySelector('#use-count').textContent.includes('2 calls'));
  widths.money = await overflow(page);
  const seen = await use(page);
  await page.click('.dock [data-pane="side"]');
  widths.side = await overflow(page);
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/phone-side.png` });
  await page.click('.dock [data-pane="money"]');
  return { cost, widths, use: seen };
}

/** By how much the page is wider than the screen. */
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

/** Ask for three images, the second of which fails; watch them arrive, look at one, remove it; on a desk and a phone. */
async function paint(page) {
  await page.fill('#email', `painter-${given.email}`);
  await page.fill('#password', 'secret-enough');
  await page.click('#enter');
  await page.click('#bonus');
  await page.locator('#bonus').waitFor({ state: 'hidden' });
  const answerModels = await holdBack(page, /\/v1\/models$/);
  await page.click('#side [data-open="images"]');
  await page.selectOption('#image-count', '3');
  await page.fill('#image-prompt', given.picture);
  const isOfferedEarly = await page.locator('#paint-send').isEnabled();
  answerModels();
  await watchStatus(page);
  await page.click('#paint-send');
  await page.waitForFunction(() => document.querySelector('.task-status')?.innerText.startsWith('2 of'));
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/painting.png` });
  await page.waitForFunction(() => document.querySelector('.task.is-over .tile img')?.naturalWidth > 0);
  await page.waitForFunction(() => document.querySelectorAll('.task .tile img').length === 2);
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/images.png` });
  const tiles = await page.locator('.task .tile').allInnerTexts();
  const inGallery = await page.locator('#gallery img').count();
  await page.click('.task .tile img >> nth=0');
  await page.waitForFunction(() => document.querySelector('#shown-image').naturalWidth > 0);
  const facts = await shown(page, '#shown-facts');
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/image.png` });
  await page.click('#drop-image');
  await page.waitForFunction(() => document.querySelectorAll('#gallery img').length === 1);
  await page.setViewportSize({ width: 390, height: 844 });
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/images-phone.png` });
  const isWide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
  await page.click('.dock [data-pane="chat"]');
  const isChatShown = await page.locator('#composer').isVisible();
  return { isOfferedEarly, statuses: await page.evaluate(() => window.statusesSeen), tiles, inGallery, facts, isWide, isChatShown };
}

/** Keep the answers to these requests from the page; return the function that lets them through. */
async function holdBack(page, address) {
  let release;
  const released = new Promise((resolve) => { release = resolve; });
  await page.route(address, async (route) => {
    await released;
    await route.continue();
  });
  return release;
}

/** What the task said of itself, each time that it said something else. */
async function watchStatus(page) {
  await page.evaluate(() => {
    window.statusesSeen = [];
    new MutationObserver(() => {
      const told = document.querySelector('.task-status')?.innerText;
      if (told && told !== window.statusesSeen.at(-1)) window.statusesSeen.push(told);
    }).observe(document.querySelector('#easel'), { childList: true, subtree: true, characterData: true });
  });
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

// Signs up on the reference, then sends the example of one operation: the token goes with it.
async function signInOnReference(page) {
  await page.fill('#sign-in [name=email]', `reference-${given.email}`);
  await page.fill('#sign-in [name=password]', 'a long password');
  await page.click('#sign-in [value=up]');
  await page.waitForSelector('#signed-in:not([hidden])');
  await page.click('#operations-tag-me');
  await page.click('#operations-me-me_profile .opblock-summary-control');
  await page.click('#operations-me-me_profile .execute');
  const status = await page.textContent('#operations-me-me_profile .live-responses-table tr.response .response-col_status');
  await page.click('#signed-in button');
  return { status: status.trim().slice(0, 3), isOut: (await page.evaluate(() => window.signedInToken())) === null };
}

const swagger = await onPage('swagger', readReference);
const reference = await onPage('swagger', signInOnReference, 'reference');
const playground = await onPage('playground', useApp);
const phone = await onPage('playground', useOnAPhone, 'phone', PHONE);
const guest = await onPage('playground', lookAround, 'guest');
const painter = await onPage('playground', paint, 'painter');
await browser.close();
process.stdout.write(JSON.stringify({ swagger, reference, playground, phone, guest, painter }), () => process.exit(0));
