// The stock `openai` SDK for Node, unchanged: what it gets from the OpenAI routes. JSON in on stdin, JSON out on stdout.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const require = createRequire(new URL("../../emulator/package.json", import.meta.url));
const { OpenAI } = require("openai");

const told = JSON.parse(await text(process.stdin));
const client = new OpenAI({ baseURL: told.base_url, apiKey: told.api_key, maxRetries: 0 });

const MODEL = "gpt-4o-mini";
const messages = [{ role: "user", content: "Say something" }];
const schema = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "look_up", parameters: schema } }];

async function plain() {
  const { data, response } = await client.chat.completions.create({ model: MODEL, messages }).withResponse();
  const choice = data.choices[0];
  return {
    text: choice.message.content,
    finish: choice.finish_reason,
    usage: data.usage.total_tokens,
    cost: response.headers.get("x-credits-cost"),
    credits: data.credits,
  };
}

async function streamed() {
  const stream = await client.chat.completions.create({
    model: MODEL,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  let said = "";
  let last;
  for await (const chunk of stream) {
    said += chunk.choices[0]?.delta?.content ?? "";
    last = chunk;
  }
  return { text: said, usage: last.usage.total_tokens, credits: last.credits };
}

async function helper() {
  const runner = client.chat.completions.stream({ model: MODEL, messages });
  return { text: await runner.finalContent() };
}

async function calls() {
  const first = await client.chat.completions.create({ model: MODEL, messages, tools, tool_choice: "required" });
  const { message } = first.choices[0];
  const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "It is so." };
  const second = await client.chat.completions.create({ model: MODEL, messages: [...messages, message, result], tools });
  return {
    finish: first.choices[0].finish_reason,
    arguments: JSON.parse(message.tool_calls[0].function.arguments),
    text: second.choices[0].message.content,
  };
}

async function shaped() {
  const response_format = { type: "json_schema", json_schema: { name: "trip", schema, strict: true } };
  const answer = await client.chat.completions.create({ model: MODEL, messages, response_format });
  return JSON.parse(answer.choices[0].message.content);
}

async function vectors() {
  const answer = await client.embeddings.create({ model: "text-embedding-3-small", input: ["one", "two"], dimensions: 8 });
  return { sizes: answer.data.map((row) => row.embedding.length), usage: answer.usage.prompt_tokens };
}

async function responded() {
  const answer = await client.responses.create({ model: MODEL, input: "Say something" });
  const stream = await client.responses.create({ model: MODEL, input: "Say something", stream: true });
  let said = "";
  let last;
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") said += event.delta;
    last = event;
  }
  return { text: answer.output_text, streamed: said, last: last.type, credits: last.credits };
}

async function refused() {
  const found = {};
  const others = {
    nobody: [new OpenAI({ baseURL: told.base_url, apiKey: "ics_" + "0".repeat(48), maxRetries: 0 }), { model: MODEL }],
    no_model: [client, { model: "none" }],
    too_dear: [client, { model: MODEL, max_tokens: 16000, n: 16 }],
  };
  for (const [name, [other, body]] of Object.entries(others)) {
    try {
      await other.chat.completions.create({ messages, ...body });
    } catch (error) {
      found[name] = [error.constructor.name, error.status, error.code];
    }
  }
  return found;
}

const answers = {
  plain: await plain(),
  streamed: await streamed(),
  helper: await helper(),
  tools: await calls(),
  schema: await shaped(),
  embeddings: await vectors(),
  response: await responded(),
  models: (await client.models.list()).data.map((model) => model.id),
  errors: await refused(),
};
process.stdout.write(JSON.stringify(answers));
