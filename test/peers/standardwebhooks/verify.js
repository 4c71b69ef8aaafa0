/*
 * verify.js
 *	  What the reference library of Standard Webhooks says of deliveries.
 *
 *	  node verify.js FOLDER    FOLDER/node_modules has the library (see install)
 *
 * From stdin [{"secret", "headers": {}, "body": base64}, ...], to stdout a word
 * for each: valid, or the library's objection.
 */
'use strict';
const fs = require('fs');
const { Webhook } = require(`${process.argv[2]}/node_modules/standardwebhooks`);

function verdict({ secret, headers, body }) {
  try {
    new Webhook(secret).verify(Buffer.from(body, 'base64'), headers);
    return 'valid';
  } catch (error) {
    return error.message;
  }
}

process.stdout.write(JSON.stringify(JSON.parse(fs.readFileSync(0, 'utf8')).map(verdict)));
