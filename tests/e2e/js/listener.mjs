// A user who watches their account: says who they are, then one line for every state shown, with the time it arrived.
//
// in:  {project, authUrl, firestoreUrl}
// out: {"uid"}, {"listening": true}, then {"seq", "available", "at": ms since the epoch} for each
import { auth, openApp, readInput, store } from '../../support/firebase.mjs';

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const { authentication, database } = openApp('listener', await readInput());
const { user } = await auth.signInAnonymously(authentication);
say({ uid: user.uid });

let isListening = false;
store.onSnapshot(
  store.doc(database, `accounts/${user.uid}`),
  (snapshot) => {
    const at = performance.timeOrigin + performance.now();
    if (!isListening && !snapshot.metadata.fromCache) {
      isListening = true;
      say({ listening: true });
    }
    if (snapshot.exists()) say({ seq: snapshot.get('seq'), available: snapshot.get('available'), at });
  },
  (error) => {
    say({ error: error.code });
    process.exit(1);
  },
);
