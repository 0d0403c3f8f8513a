// Vercel's AI SDK through the five cases, by `provider`: responses (the default of @ai-sdk/openai), chat, or compatible.

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

const ONCE = { maxRetries: 0 };

function modelOf(told) {
  const where = { baseURL: told.base_url, apiKey: told.api_key };
  if (told.provider === "compatible") {
    return createOpenAICompatible({ name: "ics", supportsStructuredOutputs: true, includeUsage: true, ...where })(told.model);
  }
  const openai = createOpenAI(where);
  return told.provider === "chat" ? openai.chat(told.model) : openai(told.model);
}

export async function plain(told) {
  return (await generateText({ model: modelOf(told), prompt: told.ask.plain, ...ONCE })).text;
}

export async function stream(told) {
  const pieces = [];
  const answer = streamText({ model: modelOf(told), prompt: told.ask.plain, ...ONCE });
  for await (const piece of answer.textStream) pieces.push(piece);
  return pieces;
}

export async function tool_loop(told) {
  const calls = [];
  const inputSchema = z.object({ city: z.string() });
  const execute = async (given) => (calls.push(given), "sunny");
  const weather = tool({ description: "Tells the weather.", inputSchema, execute });
  const loop = { model: modelOf(told), tools: { weather }, stopWhen: isStepCount(3), ...ONCE };
  return { calls, text: (await generateText({ prompt: told.ask.tool_loop, ...loop })).text };
}

export async function structured(told) {
  const output = Output.object({ schema: z.object({ city: z.string(), days: z.int() }) });
  return (await generateText({ model: modelOf(told), prompt: told.ask.structured, output, ...ONCE })).output;
}

export async function two_turns(told) {
  const messages = [{ role: "user", content: told.ask.first }];
  const first = await generateText({ model: modelOf(told), messages, ...ONCE });
  messages.push(...first.responseMessages, { role: "user", content: told.ask.second });
  const second = await generateText({ model: modelOf(told), messages, ...ONCE });
  return [first.text, second.text];
}

export async function streamed_tool_loop(told) {
  const calls = [];
  const inputSchema = z.object({ city: z.string() });
  const execute = async (given) => (calls.push(given), "sunny");
  const weather = tool({ description: "Tells the weather.", inputSchema, execute });
  const loop = { model: modelOf(told), tools: { weather }, stopWhen: isStepCount(3), ...ONCE };
  const pieces = [];
  for await (const piece of streamText({ prompt: told.ask.tool_loop, ...loop }).textStream) pieces.push(piece);
  return { calls, text: pieces.join("") };
}
