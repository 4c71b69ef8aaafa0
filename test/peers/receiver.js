/*
 * receiver.js
 *	  A webhook receiver: records what arrives, checks its signature as the
 *	  Standard Webhooks say, and answers as told.
 *
 *	  node receiver.js [--port N] [--log FILE] [--until-stdin-closes]
 *
 * Any path answers 204. These never do, so that a route can name its fate:
 *	  /status/410  /status/429/30 (Retry-After: 30)  /redirect
 *	  /hang  /close  /cut  /garbage  /huge  /drip    (server.js)
 * POST /_control/secret {"path": "/x", "secrets": ["whsec_..."]} makes every
 * further entry of that path carry "signature": valid | invalid | missing.
 * POST /_control/tls {"names": {"a.test": {"key": PEM, "cert": PEM}}} makes it listen
 * over TLS as well, with the certificate of whichever name is asked for; answers {"port"}.
 */
'use strict';
const crypto = require('crypto');
const https = require('https');
const { serve, text, misbehave } = require('./server.js');

const secrets = new Map();
const TOLERANCE = 300; /* seconds between webhook-timestamp and now, as the standard advises */

function signatureOf(secret, id, timestamp, body) {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return crypto.createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64');
}

function checkSignature(headers, body, known) {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': sent } = headers;
  if (!id || !timestamp || !sent) return 'missing';
  if (!/^\d+$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE) return 'invalid';
  const right = known.map((secret) => signatureOf(secret, id, timestamp, body));
  const given = sent
    .split(' ')
    .filter((part) => part.startsWith('v1,'))
    .map((part) => part.slice(3));
  return given.some((part) => right.includes(part)) ? 'valid' : 'invalid';
}

const MISBEHAVIOUR = ['hang', 'close', 'cut', 'garbage', 'huge', 'drip'];

function handle(request, response, { path, body, entry }) {
  if (secrets.has(path)) entry.signature = checkSignature(request.headers, body, secrets.get(path));
  const [, word, status, wait] = path.split('/');
  if (MISBEHAVIOUR.includes(word)) return misbehave(word, request, response);
  if (word === 'redirect') return text(response, 302, '', { location: '/redirected' });
  if (word === 'status')
    return text(response, Number(status), `status ${status}\n`, wait ? { 'retry-after': wait } : {});
  response.writeHead(204).end();
}

/* The same receiver on another port. */
function listenTls(names, server) {
  const tls = https.createServer(Object.values(names)[0], server.listeners('request')[0]);
  for (const [name, pair] of Object.entries(names)) tls.addContext(name, pair);
  return new Promise((resolve) => tls.listen(0, '127.0.0.1', () => resolve({ port: tls.address().port })));
}

serve(handle, (name, told, server) => {
  if (name === 'tls') return listenTls(told.names, server);
  if (name !== 'secret') return undefined;
  secrets.set(told.path, told.secrets);
  return { ok: true };
});
