// The Firebase JS SDK, as an app would use it, against the emulators.
import { createRequire } from 'node:module';

const require = createRequire(new URL('../../emulator/package.json', import.meta.url));
export const { initializeApp, deleteApp } = require('firebase/app');
export const auth = require('firebase/auth');
export const store = require('firebase/firestore');

store.setLogLevel('silent'); // a refusal is what most of these calls ask for

/** An app of its own, so that several users can be signed in at once. */
export function openApp(name, { project, authUrl, firestoreUrl }) {
  const app = initializeApp({ apiKey: 'emulator', projectId: project }, name);
  const authentication = auth.getAuth(app);
  auth.connectAuthEmulator(authentication, authUrl, { disableWarnings: true });
  const { hostname, port } = new URL(firestoreUrl);
  const database = store.getFirestore(app);
  store.connectFirestoreEmulator(database, hostname, Number(port));
  return { app, authentication, database };
}

/** The whole of standard input, as JSON. */
export async function readInput() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString('utf8'));
}
