// OpenAI's Agents SDK through the five cases, by `api`: chat completions or responses.

import { Agent, MemorySession, OpenAIProvider, Runner, tool } from "@openai/agents";
import { OpenAI } from "openai";
import { z } from "zod";

function runnerOf(told) {
  const openAIClient = new OpenAI({ baseURL: told.base_url, apiKey: told.api_key, maxRetries: 0 });
  const modelProvider = new OpenAIProvider({ openAIClient, useResponses: told.api === "responses" });
  return new Runner({ modelProvider, tracingDisabled: true });
}

const agentOf = (told, more = {}) => new Agent({ name: "Helper", instructions: "Be brief.", model: told.model, ...more });

export async function plain(told) {
  return (await runnerOf(told).run(agentOf(told), told.ask.plain)).finalOutput;
}

export async function stream(told) {
  const answer = await runnerOf(told).run(agentOf(told), told.ask.plain, { stream: true });
  const pieces = [];
  for await (const piece of answer.toTextStream()) pieces.push(piece);
  await answer.completed;
  return pieces;
}

export async function tool_loop(told) {
  const calls = [];
  const execute = async (given) => (calls.push(given), "sunny");
  const weather = tool({ name: "weather", description: "Tells it.", parameters: z.object({ city: z.string() }), execute });
  const answer = await runnerOf(told).run(agentOf(told, { tools: [weather] }), told.ask.tool_loop);
  return { calls, text: answer.finalOutput };
}

export async function structured(told) {
  const outputType = z.object({ city: z.string(), days: z.int() });
  return (await runnerOf(told).run(agentOf(told, { outputType }), told.ask.structured)).finalOutput;
}

export async function two_turns(told) {
  const session = new MemorySession();
  const first = await runnerOf(told).run(agentOf(told), told.ask.first, { session });
  const second = await runnerOf(told).run(agentOf(told), told.ask.second, { session });
  return [first.finalOutput, second.finalOutput];
}
