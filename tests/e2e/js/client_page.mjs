// An app made of the code on docs/clients/web.md, before real functions and behind a bad connection.
//
// in:  {module, project, authUrl, firestoreUrl, apiUrl, proxyUrl, page, package, picture: base64, secondsMax, goal,
//      question, cutQuestion, slowQuestion, pictureQuestion}
// out: {[part]: what the app saw}
import { randomUUID } from 'node:crypto';

import { readInput } from '../../support/firebase.mjs';

const given = await readInput();
const page = await import(given.module);
const { createUserWithEmailAndPassword } = page.firebaseAuth;

const client = page.connect({
  firebase: { apiKey: 'emulator', projectId: given.project },
  api: given.apiUrl,
  emulators: { auth: given.authUrl, firestore: given.firestoreUrl },
});
await createUserWithEmailAndPassword(client.auth, `page-${randomUUID()}@example.com`, 'secret-enough');

/** Values that a listener was given, and a wait for one that fits. */
function watching() {
  const seen = [];
  let look = () => {};
  const show = (value) => { seen.push(value); look(); };
  const until = (isSo) => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not shown; seen: ${JSON.stringify(seen)}`)), given.secondsMax * 1000);
    look = () => {
      if (!seen.length || !isSo(seen.at(-1))) return;
      clearTimeout(timer);
      resolve(seen.at(-1));
    };
    look();
  });
  return { seen, show, until };
}

/** The available credits once nothing is held, so that no charge is to come. */
async function availableAtRest() {
  for (;;) {
    const now = await page.call(client, 'GET', 'credits/balance');
    if (now.held === '0') return now.available;
    await new Promise((resolve) => { setTimeout(resolve, 200); });
  }
}

const failure = async (promise) => promise.then(() => null, (error) => ({ status: error.status, code: error.code, ...page.explain(error) }));
const told = {};

// ── credits ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const balance = watching();
page.watchBalance(client, balance.show);
await balance.until((account) => account.available === '0');
const conversation = (await page.call(client, 'POST', 'chat/conversations', { body: { title: 'Hello' } })).id;
told.poor = await failure(page.ask(client, conversation, given.question));
await page.call(client, 'POST', 'credits/welcome-bonus');
told.bonus = (await balance.until((account) => account.available !== '0')).available;
told.typed = await failure(page.call(client, 'POST', 'credits/welcome-bonus'));

// ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const texts = [];
const key = randomUUID();
const answer = await page.ask(client, conversation, given.question, { show: (text) => texts.push(text), key });
const again = await page.ask(client, conversation, given.question, { key });
await balance.until((account) => account.available === answer.balance.available && account.held === '0');
told.stream = { texts, answer, again };

const far = { ...client, api: given.proxyUrl }; // the first answer is 429, the second ends early, the third is whole
const cut = [];
told.cut = await page.ask(far, conversation, given.cutQuestion, { show: (text) => cut.push(text) });
told.cutTexts = cut;

let isStopping = null;
const slow = await page.ask(client, conversation, given.slowQuestion, {
  show: () => { isStopping ??= page.stop(client, conversation); },
});
await isStopping;
told.stopped = slow;

// ── pictures, tasks, payments ────────────────────────────────────────────────────────────────────────────────────────

const picture = new Blob([Buffer.from(given.picture, 'base64')], { type: 'image/png' });
told.picture = (await page.describe(client, picture, given.pictureQuestion)).text;
told.refused = await failure(page.describe(client, picture, given.pictureQuestion, 'no-such-model'));

const task = watching();
const steps = watching();
const begun = await page.beginTask(client, given.goal, '5');
const leave = page.watchTask(client, begun.id, { showTask: task.show, showSteps: steps.show });
told.task = await task.until((one) => one && !['queued', 'running'].includes(one.status));
told.steps = await steps.until((all) => all.length === told.task.steps);
leave();

const before = await availableAtRest(); // the stopped answer may be charged long after its end
await balance.until((account) => account.available === before);
const checkout = await page.buy(client, given.package, 'stripe', given.page);
const paid = await fetch(checkout, { method: 'POST', redirect: 'manual', body: new URLSearchParams({ action: 'paid' }) });
const payment = watching();
await page.watchReturn(client, paid.headers.get('location'), payment.show);
told.payment = await payment.until((one) => one?.status === 'settled');
told.balance = { before, after: (await balance.until((account) => account.available !== before)).available };
told.noReturn = await page.watchReturn(client, given.page, () => {});

process.stdout.write(JSON.stringify(told), () => process.exit(0));
