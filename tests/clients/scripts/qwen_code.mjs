// Qwen Code through the five cases, as its users run it without a terminal: `qwen -p`, by `auth` as Qwen names the API.

import { mkdirSync, writeFileSync } from "node:fs";

import { events, noted, packaged, run, scripted, shellQuestion } from "./coding.mjs";

const QWEN = packaged("@qwen-code/qwen-code/cli-entry.js");
const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};

/** Run Qwen Code once. Its memory would ask the model again after the last answer. */
async function qwen(told, question, ...args) {
  const env = { OPENAI_API_KEY: told.api_key, OPENAI_BASE_URL: told.base_url, OPENAI_MODEL: told.model };
  mkdirSync(`${told.home}/.qwen`, { recursive: true });
  writeFileSync(`${told.home}/.qwen/settings.json`, JSON.stringify({ memory: { enableManagedAutoMemory: false } }));
  return run(told, process.execPath, [QWEN, "--auth-type", told.auth, "-p", question, ...args], env);
}

export const plain = (told) => qwen(told, told.ask.plain);

export async function stream(told) {
  const said = await qwen(told, told.ask.plain, "-o", "stream-json", "--include-partial-messages");
  const deltas = events(said).map((each) => each.event?.delta).filter((delta) => delta?.type === "text_delta");
  return deltas.map((delta) => delta.text);
}

export async function tool_loop(told) {
  const question = shellQuestion(told, "run_shell_command", { argument: "command", beside: { is_background: false } });
  const text = await qwen(told, question, "--yolo");
  return { calls: noted(told), text };
}

export async function structured(told) {
  const question = scripted(told.ask.structured, "structured_output", { city: "text", days: 1 });
  return JSON.parse(await qwen(told, question, "--json-schema", JSON.stringify(SCHEMA)));
}

export async function two_turns(told) {
  return [await qwen(told, told.ask.first), await qwen(told, told.ask.second, "--continue")];
}
