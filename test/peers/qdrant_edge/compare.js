/*
 * compare.js
 *	  Whether the stand-in for Qdrant says the same as Qdrant's own code.
 *
 * From stdin what ask.py says; to stdout a JSON list of differences.
 */
'use strict';
const fs = require('fs');
const { parse, print, isObject } = require('../qdrant/json.js');
const { Filter } = require('../qdrant/filter.js');
const { PayloadIndex } = require('../qdrant/payload_index.js');
const { parsePath, printPath, pick, omit } = require('../qdrant/path.js');

const OTHERS = {
  phrases: ['text', { type: 'text', phrase_matching: true }],
  blanks: ['text', { type: 'text', tokenizer: 'whitespace', lowercase: false }],
};
const { payloads, indexes: named, filters, selections } = parse(fs.readFileSync(0, 'utf8'));
const indexOf = (name) => new PayloadIndex(...(OTHERS[name] || [name]));
const indexes = Object.fromEntries(
  Object.entries(named).map(([key, name]) => [printPath(parsePath(key)), indexOf(name)]),
);
const points = payloads.map((payload, i) => ({ id: i + 1, payload, vector: { '': [1] } }));

/* With the members of objects in one order, so that equal values are printed alike. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}

const differences = [];
const differ = (what, said, wanted) => {
  if (said !== wanted) differences.push(`${what}: ${said} instead of ${wanted}, with ${print(named)}`);
};
for (const { filter, ids } of filters) {
  const { passes } = new Filter(filter, indexes);
  differ(print(filter), print(points.filter(passes).map(({ id }) => id)), print(ids));
}
for (const { with: wanted, payloads: selected } of selections) {
  const select = wanted.include ? pick : omit;
  const paths = (wanted.include || wanted.exclude).map(parsePath);
  for (const { id, payload } of points)
    differ(`${print(wanted)} of ${print(payload)}`, print(sorted(select(payload, paths))), print(sorted(selected[id])));
}
process.stdout.write(JSON.stringify(differences));
