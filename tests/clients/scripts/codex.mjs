// Codex CLI through the five cases: `codex exec`, and its app server for the pieces of a stream, as editors run it.

import { mkdirSync, writeFileSync } from "node:fs";

import { events, eventsOf, noted, packaged, run, shellQuestion, started } from "./coding.mjs";

const CODEX = packaged("@openai/codex/bin/codex.js");
const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};

/** Configure Codex as its documentation tells for a provider of one's own. */
function configured(told) {
  mkdirSync(`${told.home}/.codex`, { recursive: true });
  const provider = [`name = "ICS"`, `base_url = "${told.base_url}"`, `env_key = "ICS_API_KEY"`, `wire_api = "responses"`];
  const lines = [`model = "${told.model}"`, `model_provider = "ics"`, `[model_providers.ics]`, ...provider];
  writeFileSync(`${told.home}/.codex/config.toml`, lines.join("\n"));
  return { ICS_API_KEY: told.api_key };
}

async function exec(told, ...args) {
  const env = configured(told);
  return run(told, process.execPath, [CODEX, "exec", "--skip-git-repo-check", ...args], env);
}

export const plain = (told) => exec(told, told.ask.plain);

export async function stream(told) {
  const server = started(told, process.execPath, [CODEX, "app-server"], configured(told));
  const send = (message) => server.stdin.write(`${JSON.stringify(message)}\n`);
  send({ id: 1, method: "initialize", params: { clientInfo: { name: "clients", version: "1" } } });
  send({ method: "initialized" });
  send({ id: 2, method: "thread/start", params: {} });
  const pieces = [];
  for await (const event of eventsOf(server)) {
    const input = [{ type: "text", text: told.ask.plain }];
    if (event.id === 2) send({ id: 3, method: "turn/start", params: { threadId: event.result.thread.id, input } });
    if (event.method === "item/agentMessage/delta") pieces.push(event.params.delta);
    if (event.method === "turn/completed") break;
  }
  server.kill();
  return pieces;
}

export async function tool_loop(told) {
  const question = shellQuestion(told, "exec_command", { argument: "cmd" });
  const text = await exec(told, "--sandbox", "danger-full-access", question);
  return { calls: noted(told), text };
}

export async function structured(told) {
  writeFileSync(`${told.home}/schema.json`, JSON.stringify(SCHEMA));
  return JSON.parse(await exec(told, "--output-schema", "schema.json", told.ask.structured));
}

export async function two_turns(told) {
  const said = events(await exec(told, "--json", told.ask.first));
  const first = said.find((event) => event.item?.type === "agent_message").item.text;
  return [first, await exec(told, "resume", "--last", told.ask.second)];
}
