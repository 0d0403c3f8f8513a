// The stock `openai` SDK for Node through the five cases, by `api`: chat completions or responses.

import { OpenAI } from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const WEATHER = { name: "weather", description: "Tells the weather.", parameters: PARAMETERS, strict: true };
const Trip = z.object({ city: z.string(), days: z.int() });

const clientOf = (told) => new OpenAI({ baseURL: told.base_url, apiKey: told.api_key, maxRetries: 0 });
const asked = (content) => ({ role: "user", content });

export async function plain(told) {
  const { client, model, question } = { client: clientOf(told), model: told.model, question: told.ask.plain };
  if (told.api === "responses") return (await client.responses.create({ model, input: question })).output_text;
  return (await client.chat.completions.create({ model, messages: [asked(question)] })).choices[0].message.content;
}

export async function stream(told) {
  const client = clientOf(told);
  const pieces = [];
  if (told.api === "responses") {
    const events = client.responses.stream({ model: told.model, input: told.ask.plain });
    for await (const event of events) if (event.type === "response.output_text.delta") pieces.push(event.delta);
    return pieces;
  }
  const chunks = client.chat.completions.stream({ model: told.model, messages: [asked(told.ask.plain)] });
  chunks.on("content", (delta) => pieces.push(delta));
  await chunks.finalChatCompletion();
  return pieces;
}

export async function tool_loop(told) {
  return told.api === "responses" ? responsesLoop(told) : chatLoop(told);
}

async function chatLoop(told) {
  const calls = [];
  const weather = { ...WEATHER, parse: JSON.parse, function: (given) => (calls.push(given), "sunny") };
  const tools = [{ type: "function", function: weather }];
  const messages = [asked(told.ask.tool_loop)];
  const runner = clientOf(told).chat.completions.runTools({ model: told.model, messages, tools });
  return { calls, text: await runner.finalContent() };
}

async function responsesLoop(told) {
  const calls = [];
  const input = [asked(told.ask.tool_loop)];
  const tools = [{ type: "function", ...WEATHER }];
  for (;;) {
    const answer = await clientOf(told).responses.create({ model: told.model, input, tools });
    const made = answer.output.filter((item) => item.type === "function_call");
    if (made.length === 0) return { calls, text: answer.output_text };
    calls.push(...made.map((call) => JSON.parse(call.arguments)));
    const results = made.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "sunny" }));
    input.push(...answer.output, ...results);
  }
}

export async function structured(told) {
  const client = clientOf(told);
  if (told.api === "responses") {
    const format = zodTextFormat(Trip, "trip");
    return (await client.responses.parse({ model: told.model, input: told.ask.structured, text: { format } })).output_parsed;
  }
  const response_format = zodResponseFormat(Trip, "trip");
  const messages = [asked(told.ask.structured)];
  const answer = await client.chat.completions.parse({ model: told.model, messages, response_format });
  return answer.choices[0].message.parsed;
}

export async function two_turns(told) {
  const { client, model } = { client: clientOf(told), model: told.model };
  if (told.api === "responses") {
    const first = await client.responses.create({ model, input: told.ask.first });
    const second = await client.responses.create({ model, input: told.ask.second, previous_response_id: first.id });
    return [first.output_text, second.output_text];
  }
  const messages = [asked(told.ask.first)];
  const first = (await client.chat.completions.create({ model, messages })).choices[0].message;
  messages.push(first, asked(told.ask.second));
  const second = (await client.chat.completions.create({ model, messages })).choices[0].message;
  return [first.content, second.content];
}

export async function text_completion(told) {
  const body = { model: told.model, prompt: told.ask.plain, max_tokens: 100 };
  return (await clientOf(told).completions.create(body)).choices[0].text;
}
