/*
 * http2.js
 *	  A webhook receiver that speaks HTTP/2 over TLS, and HTTP/1.1 to those who
 *	  do not, and does to a stream or its connection what the path says.
 *
 * It listens over TLS when it is told to; until then there is only the control
 * of server.js:
 *	  POST /_control/listen {"names": {"a.test": {"key": PEM, "cert": PEM}}}   answers {"port"}
 *	                              with "clients": PEM it wants a certificate of that authority
 *	  POST /_control/streams {}   what arrived: [{connection, client, headers, body}], bodies to 10 kB;
 *	                              client: who the certificate of the other side is of;
 *	                              a request over HTTP/1.1 is there too, of connection 0
 *	  POST /_control/go {}        those at /wait are answered
 */
'use strict';
const http2 = require('http2');
const { serve, text } = require('./server.js');

const {
  NGHTTP2_INTERNAL_ERROR,
  NGHTTP2_REFUSED_STREAM,
  NGHTTP2_ENHANCE_YOUR_CALM,
  NGHTTP2_HTTP_1_1_REQUIRED,
  NGHTTP2_NO_ERROR,
} = http2.constants;
const streams = [];
const waiting = [];
const mute = new Set();
let connections = 0;

/* The socket under a session, which node keeps to itself. */
const socketOf = (session) =>
  session[Object.getOwnPropertySymbols(session).find((symbol) => symbol.description === 'socket')];

const clientOf = (socket) => (socket.getPeerCertificate().subject || {}).CN;

const fine = (stream) => stream.respond({ ':status': 204 }, { endStream: true });

function endless(stream) {
  const block = Buffer.alloc(64 * 1024, 'x');
  const more = () => {
    while (!stream.destroyed && stream.write(block));
  };
  stream.respond({ ':status': 200 });
  stream.on('drain', more);
  more();
}

/* A header of so many kB. */
const headers = (stream, count) =>
  stream.respond(
    Object.fromEntries([[':status', 200], ...[...Array(count).keys()].map((n) => [`x-${n}`, 'z'.repeat(1000)])]),
    { endStream: true },
  );

const behaviour = {
  '/wait': (stream) => waiting.push(stream),
  '/slow': (stream) => setTimeout(() => fine(stream), 300),
  '/hang': () => {},
  '/large': (stream) => {
    stream.respond({ ':status': 200 });
    stream.end(Buffer.alloc(900 * 1024, 'y'));
  },
  '/length': (stream, length) => {
    stream.respond({ ':status': 200 });
    stream.end(`${length}`);
  },
  '/endless': endless,
  '/announced': (stream) => stream.respond({ ':status': 200, 'content-length': 200 * 1024 * 1024 }),
  '/drip': (stream) => {
    stream.respond({ ':status': 200 });
    const timer = setInterval(() => stream.write('x'), 50);
    stream.on('close', () => clearInterval(timer));
  },
  '/headers-few': (stream) => headers(stream, 50),
  '/headers': (stream) => headers(stream, 70),
  '/headers-many': (stream) => headers(stream, 200),
  '/interims': (stream) => {
    const timer = setInterval(() => {
      for (let n = 0; n < 100 && !stream.destroyed; n++)
        stream.additionalHeaders({ ':status': 103, link: 'q'.repeat(500) });
    }, 1);
    stream.on('close', () => clearInterval(timer));
  },
  '/reset': (stream) => stream.close(NGHTTP2_INTERNAL_ERROR),
  '/refused': (stream) => stream.close(NGHTTP2_REFUSED_STREAM),
  '/reset-body': (stream) => {
    stream.respond({ ':status': 200, 'content-length': 100 });
    stream.write('half', () => stream.close(NGHTTP2_INTERNAL_ERROR));
  },
  '/only-http1': (stream) => stream.close(NGHTTP2_HTTP_1_1_REQUIRED),
  '/goaway': (stream) => stream.session.destroy(undefined, NGHTTP2_ENHANCE_YOUR_CALM),
  '/goaway-body': (stream) => {
    stream.respond({ ':status': 200 });
    stream.write('half', () => stream.session.destroy(undefined, NGHTTP2_INTERNAL_ERROR));
  },
  '/cut': (stream) => socketOf(stream.session).destroy(),
  '/cut-body': (stream) => {
    stream.respond({ ':status': 200, 'content-length': 100 });
    stream.write('half', () => socketOf(stream.session).destroy());
  },
  '/last': (stream) => {
    fine(stream);
    stream.session.close();
  } /* answers, and says that it was the last */,
  '/mute': (stream) => mute.add(stream.session) /* nothing comes over this connection any more */,
};

/* Answers before the body has come. */
function early(stream) {
  stream.respond({ ':status': 413 }, { endStream: true });
  stream.close(NGHTTP2_NO_ERROR);
}

function arrive(session, stream, headers) {
  const entry = { connection: session.number, client: session.client, headers: { ...headers }, body: '' };
  let length = 0;
  streams.push(entry);
  stream.on('error', () => {});
  if (headers[':path'] === '/early') return early(stream);
  stream.setEncoding('utf8');
  stream.on('data', (part) => {
    length += part.length;
    if (length < 10000) entry.body += part;
  });
  stream.on('end', () => {
    if (stream.destroyed || mute.has(session)) return;
    (behaviour[headers[':path']] || fine)(stream, length);
  });
  return undefined;
}

function listen({ names, clients }) {
  const wanted = clients === undefined ? {} : { ca: clients, requestCert: true, rejectUnauthorized: true };
  const server = http2.createSecureServer({
    ...Object.values(names)[0],
    ...wanted,
    allowHTTP1: true,
    maxSendHeaderBlockLength: 1024 * 1024,
  });
  for (const [name, pair] of Object.entries(names)) server.addContext(name, { ...pair, ...wanted });
  server.on('session', (session) => {
    session.number = ++connections;
    session.client = clientOf(session.socket);
    session.on('error', () => {});
  });
  server.on('sessionError', () => {});
  server.on('stream', (stream, headers) => arrive(stream.session, stream, headers));
  server.on('request', (request, response) => {
    if (request.httpVersionMajor === 2) return;
    streams.push({ connection: 0, client: clientOf(request.socket), headers: request.headers, body: '' });
    request.resume().on('end', () => response.writeHead(204).end());
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve({ port: server.address().port })));
}

serve(
  (request, response) => text(response, 404, 'only control here\n'),
  (name, told) => {
    if (name === 'listen') return listen(told);
    if (name === 'streams') return streams;
    if (name !== 'go') return undefined;
    for (const stream of waiting.splice(0)) fine(stream);
    return { ok: true };
  },
);
