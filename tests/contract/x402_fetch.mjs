// The stock client of npm, as its README says: fetch that pays, alone and in OpenAI's SDK. Tells the answers.

import { ExactEvmScheme } from "@x402/evm";
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import OpenAI from "openai";
import { privateKeyToAccount } from "viem/accounts";

const told = JSON.parse(process.argv[2]);
const client = new ExactEvmScheme(privateKeyToAccount(told.secret));
const pay = wrapFetchWithPaymentFromConfig(fetch, { schemes: [{ network: "eip155:8453", client }] });

async function byFetch() {
  const answer = await pay(`${told.base}/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${told.key}` },
    body: JSON.stringify(told.body),
  });
  return { status: answer.status, header: answer.headers.get("PAYMENT-RESPONSE") };
}

async function bySdk() {
  const openai = new OpenAI({ baseURL: told.base, apiKey: told.key, fetch: pay, maxRetries: 0 });
  const { response } = await openai.chat.completions.create(told.body).withResponse();
  return { status: response.status, header: response.headers.get("PAYMENT-RESPONSE") };
}

const answers = [];
for (let turn = 0; turn < told.turns; turn += 1) {
  const { status, header } = await (told.by === "sdk" ? bySdk() : byFetch());
  answers.push({ status, paid: header ? decodePaymentResponseHeader(header) : null });
}
console.log(JSON.stringify(answers));
