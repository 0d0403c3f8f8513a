// Loaded into the Firebase CLI before anything else, so that no request and no connection can end the emulators.
'use strict';

const http = require('node:http');

// Cloud Run takes no larger request. The CLI keeps each body in memory, twice.
const BODY_BYTES_MAX = 32 * 1024 * 1024;
const TOO_LARGE = JSON.stringify({ error: `A request may have ${BODY_BYTES_MAX} bytes.` });
const OF_THE_START = new Set(['listen', 'bind']);
let hasServed = false;

const ignore = () => {};

function refuseLargeBody(request, response) {
  const push = request.push;
  let bytes = 0;
  request.push = function pushUpToTheLimit(chunk, ...rest) {
    bytes += chunk === null ? 0 : chunk.length;
    if (bytes <= BODY_BYTES_MAX) return push.call(this, chunk, ...rest);
    if (!response.headersSent) response.writeHead(413, { 'Content-Type': 'application/json' }).end(TOO_LARGE);
    return true;
  };
}

const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function emitSteadily(event, ...rest) {
  if (event === 'request') {
    const [request, response] = rest;
    hasServed = true;
    request.on('error', ignore);
    response.on('error', ignore);
    refuseLargeBody(request, response);
  }
  return emit.call(this, event, ...rest);
};

// A function may answer before it has read the whole body, and close: then writing the rest fails (EPIPE), and the CLI
// begins a second answer, which Node refuses with an exception. The first answer stands.
const writeHead = http.ServerResponse.prototype.writeHead;
http.ServerResponse.prototype.writeHead = function writeHeadOnce(...rest) {
  if (!this.headersSent) return writeHead.apply(this, rest);
  if (!this.writableEnded) this.destroy();
  return this;
};

// What else is thrown while requests are served costs that request its answer, not everybody the emulators.
process.setUncaughtExceptionCaptureCallback((error) => {
  if (hasServed && !OF_THE_START.has(error?.syscall)) {
    console.error(`A request failed inside the emulators: ${error?.stack ?? error}`);
  } else if (!process.emit('uncaughtException', error, 'uncaughtException')) {
    console.error(error);
    process.exit(1);
  }
});

// Standard input is a pipe that the guard of this process holds open. If the guard is killed, the CLI shuts down.
process.stdin.on('error', ignore).on('end', () => process.kill(process.pid, 'SIGINT')).resume();
