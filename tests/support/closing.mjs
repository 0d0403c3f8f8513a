// A server that has just closed a connection when the next request comes over it, as gunicorn does now and then.
//
// in:  {requests: how many are sent, one after the other, each as the functions emulator sends it}
// out: what became of each: a status, or an error's code
import http from 'node:http';
import net from 'node:net';

import { readInput } from './firebase.mjs';

const BODY = 'HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok';

const server = net.createServer((socket) => {
  let served = 0;
  socket.on('error', () => {});
  socket.on('data', (data) => {
    if (!data.includes('POST ')) return; // the rest of one
    served += 1;
    if (served === 1) socket.write(BODY);
    else socket.destroy();
  });
});

function send(port) {
  return new Promise((resolve) => {
    const request = http.request({ host: '127.0.0.1', port, method: 'POST', path: '/', headers: { connection: 'keep-alive' } }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    });
    request.on('error', (error) => resolve(error.code));
    request.end('{}');
  });
}

const given = await readInput();
server.listen(0, '127.0.0.1', async () => {
  const outcomes = [];
  for (let sent = 0; sent < given.requests; sent += 1) {
    outcomes.push(await send(server.address().port));
    await new Promise((resolve) => setImmediate(resolve));
  }
  process.stdout.write(JSON.stringify(outcomes), () => process.exit(0));
});
