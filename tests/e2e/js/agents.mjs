// Agent tasks as a person sees them: steps that appear, a task that is cancelled, one that pauses and is resumed.
//
// in:  {chromium, docsUrl, email, width, height, goals: {whole, slow, poor, away, played}, screenshots: directory or null, name}
// out: {counts, whole, file, cancelled, paused, resumed, waiting, played, left, refused, offline, overflow, errors}
import { createRequire } from 'node:module';

import { watch } from '../../support/complaints.mjs';
import { readInput } from '../../support/firebase.mjs';

const require = createRequire(new URL('../../../emulator/package.json', import.meta.url));
const { chromium } = require('playwright-core');
const APPEARS_MS = 60_000;

const given = await readInput();
const browser = await chromium.launch({ executablePath: given.chromium, args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: given.width, height: given.height }, acceptDownloads: true });
page.setDefaultTimeout(APPEARS_MS);
const { errors, told } = watch(page);

async function picture(name) {
  if (given.screenshots) await page.screenshot({ path: `${given.screenshots}/agents-${given.name}-${name}.png` });
}

const text = (selector) => page.locator(selector).innerText();
const status = (wanted) => page.waitForFunction((words) => words.includes(document.querySelector('#task').dataset.status), [wanted].flat());

async function begin(goal, budget) {
  const old = (await page.locator('#task').isVisible()) ? await text('#task-goal') : '';
  await page.fill('#goal', goal);
  await page.fill('#task-budget', budget);
  await page.click('#begin-task');
  await page.waitForFunction(([was, now]) => was !== now && document.querySelector('#task-goal').textContent === now, [old, goal]);
}

async function seen() {
  return {
    status: await text('#task-status'),
    reason: await text('#task-reason'),
    answer: await text('#task-answer'),
    money: await text('#task-money'),
    steps: await page.locator('#task-steps > li').evaluateAll((nodes) => nodes.map((node) => Number(node.dataset.number))),
    plan: await page.locator('#task-plan > li').allInnerTexts(),
    files: await page.locator('#task-files > li').allInnerTexts(),
  };
}

/** The status and the reason of a task that waits, both of one moment: the model is soon tried again. */
async function waits() {
  const found = await page.waitForFunction(() => {
    const [status, reason] = ['#task-status', '#task-reason'].map((each) => document.querySelector(each).textContent);
    return reason !== '' && { status, reason };
  });
  return found.jsonValue();
}

/** What a person is told when a task cannot be begun. */
async function failing(budget) {
  await page.fill('#goal', 'never begun');
  await page.fill('#task-budget', budget);
  await page.click('#begin-task');
  const told = await page.locator('.toast.is-bad').last().innerText();
  await page.locator('.toast.is-bad').last().evaluate((node) => node.remove());
  return told;
}

async function visit() {
  await page.goto(`${given.docsUrl}/playground`, { waitUntil: 'load' });
  await page.fill('#email', given.email);
  await page.fill('#password', 'secret-enough');
  await page.click('#enter');
  const isPhone = given.width < 860;
  if (isPhone) await page.click('.dock [data-pane="money"]');
  await page.locator('#bonus').waitFor();
  await page.click('#bonus');
  await page.waitForFunction(() => document.querySelector('#available').textContent.startsWith('1'));
  await page.click(isPhone ? '.dock [data-pane="agents"]' : '[data-open="agents"]');
  await page.locator('#begin').waitFor();

  await page.evaluate(() => {
    window.counts = [];
    const list = document.querySelector('#task-steps');
    new MutationObserver(() => window.counts.push(list.children.length)).observe(list, { childList: true });
  });
  await begin(given.goals.whole, '20');
  await status('completed');
  await page.waitForFunction(() => document.querySelector('#task-answer').textContent !== '');
  await picture('whole');
  const whole = await seen();
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#task-files button')]);
  const counts = await page.evaluate(() => window.counts);

  await begin(given.goals.slow, '20');
  await status('running');
  await page.click('#cancel-task');
  await status('cancelled');
  const cancelled = await seen();

  await begin(given.goals.poor, '0.000001');
  await status('paused');
  await picture('paused');
  const paused = await seen();
  await page.fill('#resume-budget', '20');
  await page.click('#resume-task button');
  await status('completed');
  await page.waitForFunction(() => document.querySelector('#task-answer').textContent !== '');
  const resumed = await seen();

  await begin(given.goals.away, '20');
  const waiting = await waits();
  await picture('waiting');
  await page.click('#cancel-task');
  await status('cancelled');

  // A goal that nobody scripted is played by the stand-in.
  await begin(given.goals.played, '20');
  await status('completed');
  await page.waitForFunction(() => document.querySelector('#task-images img')?.naturalWidth > 0);
  const played = { ...(await seen()), sources: await page.locator('#task-sources a').evaluateAll((links) => links.map((link) => link.href)) };
  played.steps = await page.locator('#task-steps > li').allInnerTexts();
  await page.locator('#task-images img').scrollIntoViewIfNeeded();
  await picture('played');
  await page.click('#task-images button');
  await page.waitForFunction(() => document.querySelector('#shown-image').naturalWidth > 0);
  await page.click('#close-image');

  const overflow = await page.evaluate(() => {
    const room = document.querySelector('#agents .room');
    return Math.max(document.documentElement.scrollWidth - window.innerWidth, room.scrollWidth - room.clientWidth);
  });
  const complaints = [...errors]; // from here on the browser notes what is refused
  const refused = await failing('99999999999');
  await page.context().setOffline(true);
  const offline = await failing('20');
  await page.context().setOffline(false);

  await page.click('#sign-out');
  await page.locator('#email').waitFor();
  const left = await page.locator('#tasks > li, #task-steps > li, #gallery > li').count();
  return { counts, whole, file: download.suggestedFilename(), cancelled, paused, resumed, waiting, played, left, refused, offline, overflow, errors: complaints };
}

try {
  const found = await visit();
  await browser.close();
  process.stdout.write(JSON.stringify(found), () => process.exit(0));
} catch (error) {
  await picture('failed');
  throw new Error(`${error.message}\n${told()}`, { cause: error });
}
