/*
 * server.js
 *	  What the stand-ins share: an HTTP server on a loopback port of its own,
 *	  that keeps what arrived, and can be told to misbehave.
 *
 * Its first line on stdout is its URL. Control, on every stand-in:
 *	  GET    /_control/requests   what arrived, in order (?path=/x for one path)
 *	  DELETE /_control/requests   forgets it
 *	  POST   /_control/fault      {"path", "method", "times", ...}: the next `times`
 *	                              (without it: all) requests to that path (a trailing *
 *	                              stands for anything), leaving out the next `after`,
 *	                              are answered as told:
 *	                                status, headers, body   that answer
 *	                                delay_ms                after a while
 *	                                hold                    when it behaves again, as if
 *	                                                        nothing had been
 *	                                action                  hang | close | cut | garbage |
 *	                                                        huge | drip, see misbehave()
 *	  DELETE /_control/fault      behaves again
 *	  GET    /_control/connections {"open"}, that of this question left out
 * With --log FILE what arrives is not kept: before it is answered a line is
 * appended, with blanks between: path, webhook-id, SHA-256 of the body, and the
 * time, in seconds of the clock that nobody sets.
 * With --request-timeout-ms N a connection on which no request has arrived whole
 * after that time is answered 408 without a body, and closed, also one that
 * nothing came on; an idle one that has been used is closed after 5 s in any case.
 * With --until-stdin-closes it ends when whoever started it does.
 */
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');

const HUGE = 200 * 1024 * 1024;
const wallclock = BigInt(Date.now()) * 1000000n - process.hrtime.bigint();
const now = () => (wallclock + process.hrtime.bigint()).toString();

/* --name value pairs; a name without a value is true. */
function options() {
  const found = {};
  const words = process.argv.slice(2);
  for (let i = 0; i < words.length; i++) {
    const name = words[i].replace(/^--/, '');
    found[name] = words[i + 1] === undefined || words[i + 1].startsWith('--') ? true : words[++i];
  }
  return found;
}

function read(request) {
  return new Promise((resolve, reject) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => resolve(Buffer.concat(parts)));
    request.on('error', reject);
  });
}

function json(response, status, value, headers = {}) {
  const body = typeof value === 'string' ? value : JSON.stringify(value);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

function text(response, status, body, headers = {}) {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

/* The ways in which a peer fails that are not an HTTP answer. */
function misbehave(action, request, response) {
  const socket = request.socket;
  switch (action) {
    case 'hang' /* takes the request, never answers */:
      return;
    case 'close' /* ends the connection without a byte */:
      socket.destroy();
      return;
    case 'cut' /* promises more than it sends */:
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': 1000 });
      response.write('{"result":', () => socket.destroy());
      return;
    case 'garbage' /* what comes is not HTTP */:
      socket.end('\x16\x03\x01 this is not HTTP\r\n\r\n\x00\xff\xfe');
      return;
    case 'drip': {
      /* a byte a second, for ever */
      response.writeHead(200, { 'content-type': 'application/json' });
      const timer = setInterval(() => response.write(' '), 1000);
      response.on('close', () => clearInterval(timer));
      return;
    }
    case 'huge': {
      /* 200 MB */
      response.writeHead(200, { 'content-type': 'application/octet-stream' });
      const block = Buffer.alloc(1024 * 1024, 'x');
      let left = HUGE;
      const more = () => {
        while (left > 0) {
          left -= block.length;
          if (!response.write(block)) return response.once('drain', more);
        }
        response.end();
      };
      response.on('error', () => {});
      return more();
    }
    default:
      text(response, 500, `unknown action "${action}"`);
  }
}

const matches = (rule, method, path, url) =>
  (!rule.method || rule.method === method) && (!rule.query || url.includes(rule.query)) &&
  (!rule.path || rule.path === path || (rule.path.endsWith('*') && path.startsWith(rule.path.slice(0, -1))));

/*
 * handle(request, response, {url, path, body, entry}) answers; entry is what
 * /_control/requests will show of this request. control(name, body), if given,
 * carries out further POST /_control/name and returns what to answer, or a promise
 * of it; the server is its third argument. timeout is what holds without
 * --request-timeout-ms; 0: for ever.
 */
function serve(handle, control = () => undefined, timeout = 0) {
  const seen = [];
  const log = options().log === undefined ? null : fs.openSync(options().log, 'a');
  let faults = [];
  const held = []; /* who waits for better behaviour */

  function keep(entry, body) {
    if (log === null) return seen.push(entry);
    const digest = crypto.createHash('sha256').update(body).digest('hex');
    const at = Number(process.hrtime.bigint()) / 1e9;
    return fs.writeSync(log, `${entry.path} ${entry.headers['webhook-id']} ${digest} ${at}\n`);
  }

  /* The first fault that means this request, and counts it. */
  function faultFor(method, path, url) {
    const fault = faults.find((rule) => matches(rule, method, path, url) && !(rule.after > 0 && rule.after--));
    if (fault && fault.times !== undefined && --fault.times <= 0) faults.splice(faults.indexOf(fault), 1);
    return fault;
  }

  function heal() {
    faults = [];
    for (const go of held.splice(0)) go();
  }

  async function controlled(request, response, url, body) {
    const name = url.pathname.slice('/_control/'.length);
    const verb = `${request.method} ${name}`;
    if (verb === 'GET requests') {
      const path = url.searchParams.get('path');
      return json(response, 200, path === null ? seen : seen.filter((entry) => entry.path === path));
    }
    if (verb === 'GET connections')
      return server.getConnections((error, open) => json(response, 200, { open: open - 1 }));
    if (verb === 'DELETE requests') seen.length = 0;
    else if (verb === 'POST fault') faults.push(JSON.parse(body));
    else if (verb === 'DELETE fault') heal();
    else {
      const answer = request.method === 'POST' ? await control(name, JSON.parse(body), server) : undefined;
      if (answer === undefined) return text(response, 404, `no control "${verb}"\n`);
      return json(response, 200, answer);
    }
    return json(response, 200, { ok: true });
  }

  const allowed = Number(options()['request-timeout-ms'] || timeout);
  const impatient = { headersTimeout: allowed, requestTimeout: allowed, connectionsCheckingInterval: 100 };
  const server = http.createServer(allowed ? impatient : {}, async (request, response) => {
    const url = new URL(request.url, 'http://127.0.0.1');
    let body;
    try {
      body = await read(request);
      if (url.pathname.startsWith('/_control/')) return await controlled(request, response, url, body.toString());
    } catch (error) {
      return response.headersSent ? undefined : text(response, 400, `${error.message}\n`);
    }
    const entry = {
      number: seen.length + 1,
      time_ns: now(),
      method: request.method,
      path: url.pathname,
      query: url.search,
      headers: request.headers,
      body: log === null ? body.toString() : undefined,
    };
    keep(entry, body);
    const fault = faultFor(request.method, url.pathname, request.url);
    if (fault) {
      entry.fault = fault.action || fault.status || (fault.hold ? 'hold' : 'delay');
      if (fault.hold) await new Promise((go) => held.push(go));
      if (fault.delay_ms) await new Promise((resolve) => setTimeout(resolve, fault.delay_ms));
      if (fault.action) return misbehave(fault.action, request, response);
      if (fault.status) {
        const answer = fault.body === undefined ? '' : fault.body;
        return (typeof answer === 'string' ? text : json)(response, fault.status, answer, fault.headers || {});
      }
    }
    try {
      await handle(request, response, { url, path: url.pathname, body, entry });
    } catch (error) {
      process.stderr.write(`${error.stack}\n`);
      if (!response.headersSent) text(response, 500, 'the stand-in failed: see its stderr\n');
    }
  });
  server.keepAliveTimeout = 5000;
  server.listen(Number(options().port || 0), '127.0.0.1', () => {
    process.stdout.write(`http://127.0.0.1:${server.address().port}\n`);
  });
  const stop = () => process.exit(0);
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  if (options()['until-stdin-closes']) process.stdin.on('end', stop).on('error', stop).resume();
  return server;
}

module.exports = { options, serve, json, text, misbehave };
