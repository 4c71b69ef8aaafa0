/*
 * verify.js
 *	  What the reference library of Standard Webhooks says of deliveries; and,
 *	  where the secret is a public key (whpk_), which that library does not know,
 *	  what tweetnacl says of their signatures v1a.
 *
 *	  node verify.js FOLDER    FOLDER/node_modules has the library (see install)
 *
 * From stdin [{"secret", "headers": {}, "body": base64}, ...], to stdout a word
 * for each: valid, or the library's objection.
 */
'use strict';
const fs = require('fs');
const { Webhook } = require(`${process.argv[2]}/node_modules/standardwebhooks`);

function verdictOfKey(key, headers, body) {
  const nacl = require(`${process.argv[2]}/node_modules/tweetnacl`);
  const signed = Buffer.concat([
    Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`), Buffer.from(body, 'base64')]);
  const good = headers['webhook-signature'].split(' ').filter((one) => one.startsWith('v1a,')).some((one) =>
    nacl.sign.detached.verify(signed, Buffer.from(one.slice(4), 'base64'), Buffer.from(key.slice(5), 'base64')));
  return good ? 'valid' : 'No matching signature found';
}

function verdict({ secret, headers, body }) {
  try {
    if (secret.startsWith('whpk_')) return verdictOfKey(secret, headers, body);
    new Webhook(secret).verify(Buffer.from(body, 'base64'), headers);
    return 'valid';
  } catch (error) {
    return error.message;
  }
}

process.stdout.write(JSON.stringify(JSON.parse(fs.readFileSync(0, 'utf8')).map(verdict)));
