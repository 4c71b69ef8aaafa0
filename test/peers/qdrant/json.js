/*
 * json.js
 *	  JSON as Qdrant keeps it: integers up to 2^64-1 to the last digit, and 9.0
 *	  told from 9.
 *
 * parse() gives a BigInt for an integer that JavaScript would round, and a Float
 * for what is written with a point or an exponent or is too large; print() the
 * way back.
 */
'use strict';

class Float {
  constructor(value) {
    this.value = value;
  }
  toString() {
    const shortest = String(this.value).replace('e+', 'e');
    return /^-?\d+$/.test(shortest) ? `${shortest}.0` : shortest;
  }
}

const MARK = '\u0000number:';
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const LEAST = -(1n << 63n);
const MOST = (1n << 64n) - 1n;

function number(token) {
  if (/[.eE]/.test(token)) return new Float(Number(token));
  const whole = BigInt(token);
  if (whole < LEAST || whole > MOST) return new Float(Number(token));
  return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole;
}

function parse(source) {
  const marked = source.replace(TOKENS, (token) =>
    token[0] === '"' || /^-?\d{1,15}$/.test(token) ? token : `"\\u0000number:${token}"`,
  );
  return JSON.parse(marked, (_, value) =>
    typeof value === 'string' && value.startsWith(MARK) ? number(value.slice(MARK.length)) : value,
  );
}

function print(value) {
  const marked = JSON.stringify(value, (_, part) =>
    typeof part === 'bigint' || part instanceof Float ? `${MARK}${part}` : part,
  );
  return marked.replace(/"\\u0000number:([^"]*)"/g, '$1');
}

const isInteger = (value) => typeof value === 'number' || typeof value === 'bigint';
const isNumber = (value) => isInteger(value) || value instanceof Float;
const isObject = (value) =>
  value !== null && typeof value === 'object' && !Array.isArray(value) && !(value instanceof Float);
const toNumber = (value) => Number(value instanceof Float ? value.value : value);

module.exports = { Float, parse, print, isInteger, isNumber, isObject, toNumber };
