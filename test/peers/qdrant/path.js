/*
 * path.js
 *	  Paths into a payload: a.b, a[].b, a[0], "a.b"; what lies there, and a payload
 *	  without the rest.
 *
 * A path is a list of steps: {key}, {index} or {every: true}.
 */
'use strict';
const { isObject } = require('./json.js');
const { badBody } = require('./refusal.js');

const STEP = /(?:^|\.)(?:"([^"\\]*)"|([\p{L}\p{N}_-]+))|\[(\d*)\]/uy;
const PLAIN = /^[\p{L}\p{N}_-]+$/u;

function parsePath(text) {
  const steps = [];
  STEP.lastIndex = 0;
  for (let at = 0; at < text.length; at = STEP.lastIndex) {
    const found = STEP.exec(text);
    if (!found || (at === 0 && found[3] !== undefined) || (at === 0 && text[0] === '.'))
      throw badBody(`Invalid JSON path: '${text}'`);
    const [, quoted, plain, index] = found;
    if (index === undefined) steps.push({ key: quoted === undefined ? plain : quoted });
    else steps.push(index === '' ? { every: true } : { index: Number(index) });
  }
  if (steps.length === 0) throw badBody(`Invalid JSON path: ''`);
  return steps;
}

/* As Qdrant writes it: "city" is city. Two paths are one if they are printed alike. */
function printPath(path) {
  const printed = path.map(({ key, index, every }) => {
    if (every) return '[]';
    if (index !== undefined) return `[${index}]`;
    return `.${PLAIN.test(key) ? key : `"${key}"`}`;
  });
  return printed.join('').slice(1);
}

function valuesAt(payload, path) {
  let found = [payload];
  for (const { key, index, every } of path) {
    if (key !== undefined) found = found.filter((at) => isObject(at) && Object.hasOwn(at, key)).map((at) => at[key]);
    else if (every) found = found.filter(Array.isArray).flat();
    else found = found.filter((at) => Array.isArray(at) && index < at.length).map((at) => at[index]);
  }
  return found;
}

/* ---- a payload with only some of its values ---- */

/* Elements of arrays are told apart from nothing: a step into one is always {every}. */
function filterValue(value, path, keeps) {
  const inner = (member, step) => filterValue(member, [...path, step], keeps);
  if (Array.isArray(value))
    return keeps([...path, { every: true }]) ? value.map((element) => inner(element, { every: true })) : [];
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => keeps([...path, { key }]))
      .map(([key, member]) => [key, inner(member, { key })]),
  );
}

const sameStep = (a, b) => a.key === b.key && a.index === b.index && a.every === b.every;

/* Kept is what a path leads to, what it goes through, and what lies below a value that it cannot go into. */
const pick = (payload, patterns) =>
  filterValue(payload, [], (path) =>
    patterns.some((pattern) => path.every((step, i) => i >= pattern.length || sameStep(step, pattern[i]))),
  );

/* Left out is what a path leads to. */
const omit = (payload, patterns) =>
  filterValue(
    payload,
    [],
    (path) =>
      !patterns.some(
        (pattern) => pattern.length <= path.length && pattern.every((step, i) => sameStep(step, path[i])),
      ),
  );

module.exports = { parsePath, printPath, valuesAt, pick, omit };
