// The stock client of npm, as its README says: fetch that pays. Reads {url, key, secret, body} and tells the answers.

import { ExactEvmScheme } from "@x402/evm";
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { privateKeyToAccount } from "viem/accounts";

const told = JSON.parse(process.argv[2]);
const client = new ExactEvmScheme(privateKeyToAccount(told.secret));
const pay = wrapFetchWithPaymentFromConfig(fetch, { schemes: [{ network: "eip155:8453", client }] });
const answers = [];
for (let turn = 0; turn < told.turns; turn += 1) {
  const answer = await pay(told.url, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${told.key}` },
    body: JSON.stringify(told.body),
  });
  const header = answer.headers.get("PAYMENT-RESPONSE");
  const paid = header ? decodePaymentResponseHeader(header) : null;
  answers.push({ status: answer.status, body: await answer.json(), paid });
}
console.log(JSON.stringify(answers));
