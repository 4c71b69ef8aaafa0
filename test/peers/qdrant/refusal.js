/*
 * refusal.js
 *	  What Qdrant refuses, as status and text; and the ids of points, which are
 *	  refused in several places.
 */
'use strict';
const { isInteger, print } = require('./json.js');

class Refusal extends Error {
  constructor(status, message, headers = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}
const badInput = (message) => new Refusal(400, `Wrong input: ${message}`);
const badRequest = (message) => new Refusal(400, `Bad request: ${message}`);
const badBody = (message) => new Refusal(400, `Format error in JSON body: ${message}`);
const untagged = (name) => badBody(`data did not match any variant of untagged enum ${name}`);
const invalid = (message) => new Refusal(422, `Validation error in JSON body: [${message}]`);
const notFound = (message) => new Refusal(404, `Not found: ${message}`);

const UUID = /^(?:urn:uuid:)?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$/i;
function pointId(value) {
  if (isInteger(value) && value >= 0) return value;
  const uuid = typeof value === 'string' && UUID.exec(value);
  if (uuid) return uuid.slice(1).join('-').toLowerCase();
  throw badBody(`value ${print(value)} is not a valid point ID, valid values are either an unsigned integer or a UUID`);
}

const isUuid = (text) => UUID.test(text);

/* All integers first, then the UUIDs by their bytes. */
function compareIds(a, b) {
  const textual = Number(typeof a === 'string') - Number(typeof b === 'string');
  if (textual !== 0) return textual;
  return a < b ? -1 : Number(a > b);
}

module.exports = { Refusal, badInput, badRequest, badBody, untagged, invalid, notFound, pointId, isUuid, compareIds };
