// Loaded into the Firebase CLI before anything else: each request to a function goes over a connection of its own.
// Node keeps connections open, gunicorn closes what was idle for two seconds. A request that the emulator sends at that
// moment fails with "socket hang up": its caller sees a 500, an event is lost, and the emulator ends the worker.
'use strict';

const http = require('node:http');

http.globalAgent = new http.Agent({ keepAlive: false });
