// Stops an answer on the playground after some words, in a real browser, and reads what page and backend say it cost.
//
// in:  {chromium, docsUrl, email, words, turns: [{model, question}], screenshots: directory or null}
// out: {turns: [{note, lengthAtStop, atMost, told, text, message, entry, available, held, shownAvailable}], errors}
import { createRequire } from 'node:module';

import { watch } from '../../support/complaints.mjs';
import { readInput } from '../../support/firebase.mjs';

const require = createRequire(new URL('../../../emulator/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const APPEARS_MS = 120_000;

const given = await readInput();
const browser = await chromium.launch({ executablePath: given.chromium, args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
page.setDefaultTimeout(APPEARS_MS);
const { errors, told } = watch(page);

async function signUp() {
  await page.goto(`${given.docsUrl}/playground`, { waitUntil: 'load' });
  await page.fill('#email', given.email);
  await page.fill('#password', 'secret-enough');
  await page.click('#enter');
  await page.click('#bonus');
  await page.locator('#bonus').waitFor({ state: 'hidden' });
  await offered(given.turns.map((turn) => turn.model));
}

/** Load the page again until it offers these models: an instance's list may be half a minute old. */
async function offered(models) {
  for (let loads = 1; ; loads += 1) {
    await page.reload({ waitUntil: 'load' });
    const last = page.locator(`#model option[value="${models.at(-1)}"]`);
    try {
      return await last.waitFor({ state: 'attached', timeout: 10_000 });
    } catch (error) {
      if (loads === 12) throw error;
    }
  }
}

/** Ask, read some words, stop, and wait for the number. */
async function stopTurn({ model, question }, number) {
  await page.click('#new');
  const isStored = (answer) => answer.url().includes('/models/preferences') && answer.request().method() === 'PUT';
  await Promise.all([page.waitForResponse(isStored), page.selectOption('#model', model)]);
  await page.fill('#prompt', question);
  await page.click('#send');
  await page.waitForFunction((words) => wordsShown() >= words, given.words);
  const note = await page.locator('#stop-note').isVisible();
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/stop-${number}-running.png` });
  const lengthAtStop = await page.evaluate(() => wordsShown());
  await page.click('#stop');
  await page.waitForFunction(() => document.querySelector('.message.assistant .facts b'));
  const atMost = await page.evaluate(() => document.querySelector('.message.assistant .facts b').innerText);
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/stop-${number}-stopped.png` });
  await page.waitForFunction(() => /^[\d.]+ credits$/.test(document.querySelector('.message.assistant .facts b')?.innerText ?? ''));
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/stop-${number}-settled.png` });
  const told = await page.locator('.message.assistant .facts b').innerText();
  const text = await page.locator('.message.assistant .text').innerText();
  await page.locator('#send').waitFor();
  return { note, lengthAtStop, atMost, told, text, ...(await stored()) };
}

/** The same as the API says it, and as the listener of the account has drawn it. */
async function stored() {
  await page.waitForFunction(() => document.querySelector('#held').innerText === '0');
  const seen = await page.evaluate(async () => ({
    conversation: await call('GET', `chat/conversations/${state.conversation.id}`),
    history: await call('GET', 'credits/history'),
    balance: await call('GET', 'credits/balance'),
  }));
  const message = seen.conversation.messages.items.find((each) => each.role === 'assistant');
  await page.waitForFunction((wanted) => Number(document.querySelector('#available').innerText.replace(/\s/g, '')) === Number(wanted), seen.balance.available);
  return {
    message,
    entry: seen.history.items[0],
    available: seen.balance.available,
    held: seen.balance.held,
    shownAvailable: await page.locator('#available').innerText(),
  };
}

await page.addInitScript(() => {
  window.wordsShown = () => (document.querySelector('.message.assistant .text')?.innerText.match(/word/g) ?? []).length;
});
try {
  await signUp();
  const turns = [];
  for (const [number, turn] of given.turns.entries()) turns.push(await stopTurn(turn, number));
  process.stdout.write(JSON.stringify({ turns, errors }), () => process.exit(0));
} catch (error) {
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/stop-failed.png` });
  throw new Error(`${error.message}\n${told()}`, { cause: error });
} finally {
  await browser.close();
}
