// OpenCode through the five cases, by the `npm` package of its provider: `opencode run`, and `opencode serve` for the
// pieces of a stream and for a shape, as its SDK and editors run it.

import { writeFileSync } from "node:fs";

import { events, noted, packaged, run, scripted, shellQuestion, started } from "./coding.mjs";

const OPENCODE = packaged("opencode-ai/bin/opencode.exe");
const OFFLINE = { OPENCODE_DISABLE_MODELS_FETCH: "1", OPENCODE_DISABLE_AUTOUPDATE: "1" };
const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};

/** Configure OpenCode as its documentation tells for a provider of one's own. */
function configured(told) {
  const models = { [told.model]: { name: told.model, limit: { context: 128_000, output: 4_096 } } };
  const options = { baseURL: told.base_url, apiKey: told.api_key };
  const ics = { npm: told.npm, name: "ICS", options, models };
  writeFileSync(`${told.home}/opencode.json`, JSON.stringify({ model: `ics/${told.model}`, provider: { ics } }));
}

/** The text of one run. The question is the input, since words of the command line reach the model in quotes. */
async function opencode(told, question, ...args) {
  configured(told);
  const said = events(await run(told, OPENCODE, ["run", "--format", "json", ...args], OFFLINE, question));
  return said.filter((event) => event.type === "text").map((event) => event.part.text).join("");
}

export const plain = (told) => opencode(told, told.ask.plain);

export async function tool_loop(told) {
  const question = shellQuestion(told, "bash", { argument: "command", beside: { description: "Tells the weather" } });
  const text = await opencode(told, question);
  return { calls: noted(told), text };
}

export async function two_turns(told) {
  return [await opencode(told, told.ask.first), await opencode(told, told.ask.second, "--continue")];
}

export const stream = (told) =>
  served(told, async (url, post) => {
    const pieces = [];
    const response = await fetch(`${url}/event`);
    const { id } = await post("/session", {});
    await post(`/session/${id}/prompt_async`, { parts: [{ type: "text", text: told.ask.plain }] });
    for await (const event of eventsIn(response.body)) {
      const { type, properties } = event;
      if (type === "message.part.delta" && properties.sessionID === id) pieces.push(properties.delta);
      if (type === "session.idle" && properties.sessionID === id) return pieces;
    }
  });

export const structured = (told) =>
  served(told, async (url, post) => {
    const { id } = await post("/session", {});
    const text = scripted(told.ask.structured, "StructuredOutput", { city: "text", days: 1 });
    const format = { type: "json_schema", schema: SCHEMA };
    const answer = await post(`/session/${id}/message`, { parts: [{ type: "text", text }], format });
    return answer.info.structured;
  });

/** Use a server of OpenCode's, which is ended in the end. */
async function served(told, use) {
  configured(told);
  const server = started(told, OPENCODE, ["serve", "--port", "0"], OFFLINE);
  try {
    const url = await addressOf(server);
    const headers = { "content-type": "application/json" };
    const post = async (path, body) => {
      const signal = AbortSignal.timeout(60_000);
      const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body), signal });
      const said = await response.text();
      return said && JSON.parse(said);
    };
    return await use(url, post);
  } finally {
    server.kill();
  }
}

async function addressOf(server) {
  let said = "";
  for await (const piece of server.stdout) {
    said += piece;
    const found = said.match(/http:\/\/[\d.]+:\d+/);
    if (found) return found[0];
  }
  throw new Error(`no address: ${said}`);
}

async function* eventsIn(body) {
  let rest = "";
  for await (const piece of body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data: ")) yield JSON.parse(line.slice(6));
  }
}
