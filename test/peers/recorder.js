/*
 * recorder.js
 *	  Stands before another server and passes everything on, and keeps what went
 *	  through: GET /_control/requests (server.js) shows each request with its
 *	  answer, as {status, headers, body}. So a test sees the traffic of a real
 *	  server too, and can make it fail. An answer goes on as it came; what is kept
 *	  of a compressed one is what it says.
 *
 *	  node recorder.js --to URL [--port N] [--until-stdin-closes]
 */
'use strict';
const zlib = require('zlib');
const { options, serve } = require('./server.js');

const target = new URL(options().to);
const client = require(target.protocol === 'https:' ? 'https' : 'http');

const UNPACK = {
  gzip: zlib.gunzipSync,
  'x-gzip': zlib.gunzipSync,
  deflate: zlib.inflateSync,
  br: zlib.brotliDecompressSync,
  zstd: zlib.zstdDecompressSync /* of a newer Node.js */,
};

/* What a body says under its Content-Encoding, the last of which was put on last; itself where that is not so. */
function unpacked(body, encodings = '') {
  try {
    return encodings
      .split(',')
      .map((encoding) => encoding.trim().toLowerCase())
      .filter((encoding) => encoding !== '' && encoding !== 'identity')
      .reduceRight((packed, encoding) => UNPACK[encoding](packed), body);
  } catch (_) {
    return body;
  }
}

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
            entry.answer = {
              status: answer.statusCode,
              headers,
              body: unpacked(whole, headers['content-encoding']).toString(),
            };
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
