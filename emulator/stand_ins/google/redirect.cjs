// Loaded into the Firebase CLI before anything else: what it asks of Google, it asks of the stand-in at GOOGLE_APIS.
// No other host is asked, so that a rehearsal leaves this machine nowhere.
'use strict';

const standIn = process.env.GOOGLE_APIS;
const { fetch: fetchAnywhere, Request } = globalThis;

function redirected(address) {
  const url = new URL(address);
  if (url.protocol !== 'https:') return url;
  if (!url.hostname.endsWith('.googleapis.com')) throw new TypeError(`${url.hostname} has no stand-in`);
  return new URL(`/${url.hostname}${url.pathname}${url.search}`, standIn);
}

if (standIn) {
  globalThis.fetch = async (input, init) =>
    input instanceof Request
      ? fetchAnywhere(new Request(redirected(input.url), input), init)
      : fetchAnywhere(redirected(input), init);
}
