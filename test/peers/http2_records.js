/*
 * http2_records.js
 *	  A webhook receiver that speaks HTTP/2 frame by frame, and writes two answers
 *	  at once in TLS records of its own, which Node's http2 does not let one choose.
 *
 * It listens over TLS when it is told to; until then there is only the control
 * of server.js:
 *	  POST /_control/listen {"key": PEM, "cert": PEM}   answers {"port"}
 *
 * Of two requests on a connection the first is answered with a body of 32 to
 * 80 kB, a record for each 16 kB; the last record has its end and the whole
 * answer of the second as well. All of it is written in one go. A request that
 * stays alone is answered with a body of two bytes.
 */
'use strict';
const tls = require('tls');
const { serve, text } = require('./server.js');

const DATA = 0;
const HEADERS = 1;
const SETTINGS = 4;
const PING = 6;
const WINDOW_UPDATE = 8;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
const PREFACE = 24; /* bytes with which a client begins */
const PART = 16000; /* bytes; a TLS record holds 16,384, the frame's head and what ends both answers included */
const ALONE_MS = 500;

function frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/* The field ":status: 200" of HPACK's static table. */
const header = (stream) => frame(HEADERS, END_HEADERS, stream, Buffer.from([0x88]));
const short = (stream) => [header(stream), frame(DATA, END_STREAM, stream, Buffer.from('ok'))];

/* So many parts for the first stream, in the last record the end of both. */
function together(first, second, parts) {
  const records = [header(first)];
  for (let n = 0; n < parts; n++) records.push(frame(DATA, 0, first, Buffer.alloc(PART, 'y')));
  const last = [records.pop(), frame(DATA, END_STREAM, first), ...short(second)];
  return [...records, Buffer.concat(last)];
}

class Connection {
  constructor(socket) {
    this.socket = socket;
    this.bytes = Buffer.alloc(0);
    this.begun = false;
    this.waiting = [];
    this.pairs = 0;
    const wide = Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff]); /* the window of every stream */
    const more = Buffer.from([0x7f, 0xff, 0, 0]); /* and of the connection */
    socket.write(Buffer.concat([frame(SETTINGS, 0, 0, wide), frame(WINDOW_UPDATE, 0, 0, more)]));
    socket.on('data', (bytes) => this.take(bytes));
    socket.on('error', () => {});
  }

  take(bytes) {
    this.bytes = Buffer.concat([this.bytes, bytes]);
    if (!this.begun) {
      if (this.bytes.length < PREFACE) return;
      this.bytes = this.bytes.subarray(PREFACE);
      this.begun = true;
    }
    while (this.bytes.length >= 9) {
      const length = this.bytes.readUIntBE(0, 3);
      if (this.bytes.length < 9 + length) return;
      const payload = this.bytes.subarray(9, 9 + length);
      this.read(this.bytes[3], this.bytes[4], this.bytes.readUInt32BE(5) & 0x7fffffff, payload);
      this.bytes = this.bytes.subarray(9 + length);
    }
  }

  read(type, flags, stream, payload) {
    if (type === SETTINGS && !(flags & ACK)) this.socket.write(frame(SETTINGS, ACK, 0));
    if (type === PING && !(flags & ACK)) this.socket.write(frame(PING, ACK, 0, payload));
    if ((type !== DATA && type !== HEADERS) || !(flags & END_STREAM)) return;
    this.waiting.push(stream);
    clearTimeout(this.timer);
    if (this.waiting.length === 2) this.write(together(...this.waiting.splice(0), 2 + (this.pairs++ % 4)));
    else this.timer = setTimeout(() => this.write(short(this.waiting.pop())), ALONE_MS);
  }

  /* Each is a record of its own; all go out in one go. */
  write(records) {
    this.socket.cork();
    for (const record of records) this.socket.write(record);
    this.socket.uncork();
  }
}

function listen(pair) {
  const server = tls.createServer({ ...pair, ALPNProtocols: ['h2'] }, (socket) => new Connection(socket));
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve({ port: server.address().port })));
}

serve(
  (request, response) => text(response, 404, 'only control here\n'),
  (name, told) => (name === 'listen' ? listen(told) : undefined),
);
