// What the scripts of coding agents share: a program run to its end, a server's lines, a prompt for an agent's own shell.

import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const RUN_MILLISECONDS_MAX = 120_000;

/** The path of a file in the packages of this environment. */
export const packaged = (path) => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url));

/** Start a program in the empty home. Its standard error goes to ours. */
export function started(told, command, args, env = {}) {
  const environ = { ...process.env, HOME: told.home, PWD: told.home, ...env };
  const options = { cwd: told.home, env: environ, timeout: RUN_MILLISECONDS_MAX };
  return spawn(command, args, { ...options, stdio: ["pipe", "pipe", "inherit"] });
}

/** What a program prints, given a text as its input. Throws if the program ends with an error. */
export async function run(told, command, args, env, input = "") {
  const program = started(told, command, args, env);
  program.stdin.end(input);
  let out = "";
  program.stdout.on("data", (piece) => (out += piece));
  const code = await new Promise((end) => program.on("close", end));
  if (code !== 0) throw new Error(`ended with ${code}: ${out.slice(-500)}`);
  return out.trim();
}

/** The JSON objects that a program prints, one a line. */
export const events = (out) => out.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));

/** Yield the JSON objects that a running program prints. */
export async function* eventsOf(program) {
  for await (const line of createInterface({ input: program.stdout })) if (line.startsWith("{")) yield JSON.parse(line);
}

/** The question of the tool loop, with a call of the agent's shell in place of `weather`; the shell notes the call. */
export function shellQuestion(told, name, more = {}) {
  const [, script] = told.ask.tool_loop.match(/<<stand-in (.*)>>/);
  const noted = JSON.stringify(JSON.parse(script).tool_calls[0].arguments);
  const command = `echo '${noted}' >> called.jsonl; echo sunny`;
  return scripted(told.ask.tool_loop, name, more.argument ? { [more.argument]: command, ...more.beside } : { command });
}

/** The calls that the shell has noted. */
export function noted(told) {
  const path = `${told.home}/called.jsonl`;
  return existsSync(path) ? events(readFileSync(path, "utf8")) : [];
}

/** A question that has the stand-in model call a tool. */
export function scripted(question, name, given) {
  return question.replace(/<<stand-in .*>>/, "") + `<<stand-in ${JSON.stringify({ tool_calls: [{ name, arguments: given }] })}>>`;
}
