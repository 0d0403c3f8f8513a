// Tries every operation of every row as every persona, and prints who was let through.
//
// in:  {project, authUrl, firestoreUrl, personas: [name], operations: [name], rows: [{path, filter, seed}]}
// out: [[row number, operation, persona, "allowed" | error code], …]
import { randomUUID } from 'node:crypto';

import { auth, openApp, readInput, store } from '../support/firebase.mjs';

const PASSWORD = 'secret-enough';
const ROLES = ['user', 'support', 'auditor', 'admin'];
const given = await readInput();
const run = randomUUID().slice(0, 8);
const authApi = `${given.authUrl}/identitytoolkit.googleapis.com/v1/projects/${given.project}`;
const documentsApi = `${given.firestoreUrl}/v1/projects/${given.project}/databases/(default)/documents`;

// ── whom we are ──────────────────────────────────────────────────────────────────────────────────────────────────────

async function enter(name) {
  const { authentication, database } = openApp(name, given);
  if (name === 'signed_out') return { name, database, uid: null };
  const { user } = name.startsWith('anonymous')
    ? await auth.signInAnonymously(authentication)
    : await (name.startsWith('odd') ? imported : signedUp)(authentication, `${name}-${run}@example.com`);
  if (name === 'admin') await claim(user);
  return { name, database, uid: user.uid };
}

const signedUp = (authentication, email) => auth.createUserWithEmailAndPassword(authentication, email, PASSWORD);

/** A user whose uid another identity provider chose: what Firebase Auth and Firestore take, and few grammars do. */
async function imported(authentication, email) {
  const localId = `auth0|${run} x% ü#?`;
  await asServer(`${authApi}/accounts`, 'POST', { localId, email, password: PASSWORD });
  const entered = await auth.signInWithEmailAndPassword(authentication, email, PASSWORD);
  if (entered.user.uid !== localId) throw new Error(`the uid became ${entered.user.uid}`);
  return entered;
}

async function claim(user) {
  const claims = { admin: true, roles: ROLES };
  await asServer(`${authApi}/accounts:update`, 'POST', { localId: user.uid, customAttributes: JSON.stringify(claims) });
  const { claims: seen } = await user.getIdTokenResult(true);
  if (JSON.stringify(seen.roles) !== JSON.stringify(ROLES)) throw new Error('the claim did not arrive');
}

// ── what is there ────────────────────────────────────────────────────────────────────────────────────────────────────

async function asServer(url, method, body) {
  const headers = { Authorization: 'Bearer owner', 'Content-Type': 'application/json' };
  const answer = await fetch(url, { method, headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
}

const filled = (value, uid) => (value === '{uid}' ? uid : value);

/** A path of the row in the owner's name, with this last id unless it ends with the owner's own. */
function pathOf(row, owner, last) {
  const ids = { '{uid}': owner.uid, '{id}': `${owner.name}-${run}` };
  const parts = row.path.split('/').map((part) => ids[part] ?? part);
  if (row.path.endsWith('{id}')) parts[parts.length - 1] = last;
  return parts.join('/');
}

/** Parents of other rows are found under the plain id; rows that share a path have documents of their own. */
function isThere(row, number, owner) {
  const isFirst = given.rows.findIndex(({ path }) => path === row.path) === number;
  return pathOf(row, owner, `${owner.name}-${run}${isFirst ? '' : `-${number}`}`);
}

const isMissing = (row, owner) => pathOf(row, owner, `missing-${randomUUID()}`);
const isOneOfAKind = (row) => row.path.endsWith('{uid}'); // missing only until it is seeded
const onMissing = ['get_missing', 'create'];

function encoded(value) {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { booleanValue: value };
  return { integerValue: String(value) };
}

async function seed(row, number, owner) {
  const fields = Object.entries(row.seed).map(([name, value]) => [name, encoded(filled(value, owner.uid))]);
  const path = isThere(row, number, owner).split('/').map(encodeURIComponent).join('/');
  await asServer(`${documentsApi}/${path}`, 'PATCH', { fields: Object.fromEntries(fields) });
}

// ── what we try ──────────────────────────────────────────────────────────────────────────────────────────────────────

const forged = { uid: 'forged', available: 1_000_000, is_enabled: true };

const operations = {
  get: ({ database }, row, number, owner) =>
    store.getDocFromServer(store.doc(database, isThere(row, number, owner))),
  get_missing: ({ database }, row, number, owner) =>
    store.getDocFromServer(store.doc(database, isMissing(row, owner))),
  list: ({ database }, row, number, owner) => {
    const all = store.collection(database, parentOf(isThere(row, number, owner)));
    const [name, value] = row.filter ?? [];
    return store.getDocsFromServer(name ? store.query(all, store.where(name, '==', filled(value, owner.uid))) : all);
  },
  list_all: ({ database }, row, number, owner) =>
    store.getDocsFromServer(store.collection(database, parentOf(isThere(row, number, owner)))),
  list_group: ({ database }, row) =>
    store.getDocsFromServer(store.collectionGroup(database, row.path.split('/').at(-2))),
  create: ({ database }, row, number, owner) =>
    store.setDoc(store.doc(database, isMissing(row, owner)), { ...forged, uid: owner.uid }),
  update: ({ database }, row, number, owner) =>
    store.updateDoc(store.doc(database, isThere(row, number, owner)), { available: forged.available }),
  delete: ({ database }, row, number, owner) =>
    store.deleteDoc(store.doc(database, isThere(row, number, owner))),
};

const parentOf = (path) => path.slice(0, path.lastIndexOf('/'));

async function outcome(attempt) {
  try {
    await attempt();
    return 'allowed';
  } catch (error) {
    return error.code ?? String(error);
  }
}

// ── all of it ────────────────────────────────────────────────────────────────────────────────────────────────────────

const personas = await Promise.all(given.personas.map(enter));
const owners = personas.filter(({ name }) => name.endsWith('owner'));
const ownerFor = (persona) => owners.find(({ name }) => name === persona.name) ?? owners[0];

async function tryAll(persona, isNow) {
  const cells = [];
  for (const [number, row] of given.rows.entries()) {
    for (const operation of given.operations.filter((each) => isNow(row, each))) {
      const attempt = () => operations[operation](persona, row, number, ownerFor(persona));
      cells.push([number, operation, persona.name, await outcome(attempt)]);
    }
  }
  return cells;
}

const isBefore = (row, operation) => isOneOfAKind(row) && onMissing.includes(operation);
const before = await Promise.all(personas.map((persona) => tryAll(persona, isBefore)));
for (const [number, row] of given.rows.entries()) {
  for (const owner of owners) await seed(row, number, owner);
}
const after = await Promise.all(personas.map((persona) => tryAll(persona, (...cell) => !isBefore(...cell))));

process.stdout.write(JSON.stringify([...before, ...after].flat()), () => process.exit(0));
