// Plays the cases of one client's script, as play.py does for Python: JSON in on stdin, JSON out on stdout.
//
// Runs through a link inside the environment of the client, so that the script's imports are found there. A client may
// print: console.log goes to stderr.

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { text } from "node:stream/consumers";

const told = JSON.parse(await text(process.stdin));
console.log = console.error;
const script = await import(new URL(`scripts/${basename(told.script)}`, import.meta.url));
const cases = {};
for (const name of told.cases) cases[name] = await played(script[name]);
const { version } = JSON.parse(readFileSync(new URL(`../node_modules/${told.package}/package.json`, import.meta.url)));
process.stdout.write(JSON.stringify({ version, cases }), () => process.exit(0));

async function played(run) {
  try {
    return { got: await run(told) };
  } catch (error) {
    console.error(error);
    return { error: `${error.name}: ${error.responseBody ?? error.message}` };
  }
}
