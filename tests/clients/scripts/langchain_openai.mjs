// LangChain's `ChatOpenAI` for Node through the five cases, by `api`: chat completions or responses.

import { HumanMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

const modelOf = (told) =>
  new ChatOpenAI({
    model: told.model,
    apiKey: told.api_key,
    maxRetries: 0,
    useResponsesApi: told.api === "responses",
    configuration: { baseURL: told.base_url },
  });

export async function plain(told) {
  return (await modelOf(told).invoke(told.ask.plain)).text;
}

export async function stream(told) {
  const pieces = [];
  for await (const chunk of await modelOf(told).stream(told.ask.plain)) pieces.push(chunk.text);
  return pieces;
}

export async function tool_loop(told) {
  const calls = [];
  const schema = z.object({ city: z.string() });
  const weather = tool(async (given) => (calls.push(given), "sunny"), { name: "weather", description: "Tells it.", schema });
  const model = modelOf(told).bindTools([weather]);
  const messages = [new HumanMessage(told.ask.tool_loop)];
  for (;;) {
    const answer = await model.invoke(messages);
    if (answer.tool_calls.length === 0) return { calls, text: answer.text };
    messages.push(answer);
    for (const call of answer.tool_calls) messages.push(await weather.invoke(call));
  }
}

export async function structured(told) {
  const schema = z.object({ city: z.string(), days: z.int() });
  return modelOf(told).withStructuredOutput(schema, { name: "trip" }).invoke(told.ask.structured);
}

export async function two_turns(told) {
  const messages = [new HumanMessage(told.ask.first)];
  const first = await modelOf(told).invoke(messages);
  const second = await modelOf(told).invoke([...messages, first, new HumanMessage(told.ask.second)]);
  return [first.text, second.text];
}
