/*
 * recorder.js
 *	  Stands before another server and passes everything on, and keeps what went
 *	  through: GET /_control/requests (server.js) shows each request with its
 *	  answer, as {status, headers, body}. So a test sees the traffic of a real
 *	  server too, and can make it fail.
 *
 *	  node recorder.js --to URL [--port N] [--until-stdin-closes]
 */
'use strict';
const { options, serve } = require('./server.js');

const target = new URL(options().to);
const client = require(target.protocol === 'https:' ? 'https' : 'http');

serve(
  (request, response, { body, entry }) =>
    new Promise((resolve, reject) => {
      const onward = client.request(
        target,
        {
          method: request.method,
          path: target.pathname.replace(/\/$/, '') + request.url,
          headers: { ...request.headers, host: target.host },
          agent: false,
        },
        (answer) => {
          const parts = [];
          answer.on('data', (part) => parts.push(part));
          answer.on('error', reject);
          answer.on('end', () => {
            const { connection, 'transfer-encoding': encoding, 'keep-alive': keep, ...headers } = answer.headers;
            const whole = Buffer.concat(parts);
            entry.answer = { status: answer.statusCode, headers, body: whole.toString() };
            response.writeHead(answer.statusCode, { ...headers, 'content-length': whole.length });
            response.end(whole);
            resolve();
          });
        },
      );
      onward.on('error', reject);
      onward.end(body);
    }),
);
