// An app's first minutes: sign up, watch the account, claim the bonus, chat; and what the watcher saw of it.
//
// in:  {project, authUrl, firestoreUrl, apiUrl, question}
// out: {uid, bonus, before, answer, after, seen: [{exists, available, held, debt, seq, status, at, …}], refused: {…}}
import { randomUUID } from 'node:crypto';

import { auth, openApp, readInput, store } from '../../support/firebase.mjs';

const ARRIVES_MS = 60_000;
const given = await readInput();
const { authentication, database } = openApp('app', given);

// ── what an app does ─────────────────────────────────────────────────────────────────────────────────────────────────

async function call(method, path, body) {
  const headers = { Authorization: `Bearer ${await authentication.currentUser.getIdToken()}` };
  if (method === 'POST') headers['Idempotency-Key'] = randomUUID();
  if (body) headers['Content-Type'] = 'application/json';
  const answer = await fetch(given.apiUrl + path, { method, headers, body: body && JSON.stringify(body) });
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(said)}`);
  return said;
}

/** A listener on one document: everything it was shown, and a way to wait for what is to come. */
function watch(path) {
  const seen = [];
  let wake = () => {};
  const show = (snapshot) => {
    const { state, seal, nonce, ...plain } = snapshot.data() ?? {};
    seen.push({ exists: snapshot.exists(), fromCache: snapshot.metadata.fromCache, ...plain });
    wake();
  };
  const fail = (error) => {
    seen.push({ error: error.code });
    wake();
  };
  store.onSnapshot(store.doc(database, path), show, fail);
  async function until(what, isSo) {
    const deadline = Date.now() + ARRIVES_MS;
    while (!isSo(seen.at(-1) ?? {})) {
      if (Date.now() > deadline) throw new Error(`${what} did not arrive; seen: ${JSON.stringify(seen)}`);
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, 100);
      });
    }
    return seen.at(-1);
  }
  return { seen, until };
}

async function codeOf(promise) {
  try {
    await promise;
    return 'allowed';
  } catch (error) {
    return error.code ?? String(error);
  }
}

/** The API's decimal credits as the µcr a listener shows. */
function micro(credits) {
  const [whole, fraction = ''] = credits.split('.');
  return Number(whole) * 1_000_000 + Number(fraction.padEnd(6, '0'));
}

// ── the main job ─────────────────────────────────────────────────────────────────────────────────────────────────────

const email = `js-${randomUUID()}@example.com`;
const { user } = await auth.createUserWithEmailAndPassword(authentication, email, 'secret-enough');

const account = watch(`accounts/${user.uid}`); // before there is one: the first request opens it
await account.until('the absent account', (last) => last.exists === false && !last.fromCache);

const bonus = await call('POST', '/v1/credits/welcome-bonus');
const before = await call('GET', '/v1/credits/balance');
await account.until('the bonus', (last) => last.available === before.available);

const conversation = await call('POST', '/v1/chat/conversations', { title: 'From an app' });
const answer = await call('POST', `/v1/chat/conversations/${conversation.id}/messages`, { content: given.question });
const after = await call('GET', '/v1/credits/balance');
await account.until('the charge', (last) => last.available === after.available && last.held === '0');

const messages = store.collection(database, `conversations/${conversation.id}/messages`);
const mine = store.query(
  store.collection(database, 'conversations'),
  store.where('uid', '==', user.uid),
  store.orderBy('updated_at', 'desc'),
);
const said = await call('GET', `/v1/chat/conversations/${conversation.id}/messages`);
const talks = await store.getDocsFromServer(mine);
const told = await call('GET', '/v1/chat/conversations');
const offered = await call('GET', '/v1/models');
const models = store.query(store.collection(database, 'models'), store.where('is_enabled', '==', true));
const seen = [...account.seen]; // the SDK shows an attempt of our own at once, and takes it back when it is refused
const refused = {
  minting: await codeOf(store.updateDoc(store.doc(database, `accounts/${user.uid}`), { available: '1000000' })),
  messages: await codeOf(store.getDocsFromServer(store.query(messages, store.orderBy('position')))),
  models: await codeOf(store.getDocsFromServer(models)),
  everybody: await codeOf(store.getDocsFromServer(store.collection(database, 'accounts'))),
};

const story = {
  uid: user.uid,
  bonus,
  before,
  answer,
  after,
  spent: micro(before.available) - micro(after.available),
  cost: micro(answer.cost),
  seen,
  messages: said.items.map((each) => each.role).reverse(),
  conversations: talks.docs.map((each) => each.data()),
  told: told.items,
  models: offered.items.length,
  refused,
};
process.stdout.write(JSON.stringify(story), () => process.exit(0));
