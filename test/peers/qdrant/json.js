/*
 * json.js
 *	  JSON as Qdrant keeps it: integers up to 2^64-1 to the last digit, 9.0 told
 *	  from 9, and -0 a floating point number.
 *
 * parse() gives a BigInt for an integer that JavaScript would round, and a Float
 * for what is written with a point or an exponent or is too large, and refuses what
 * is larger than any floating point number; print() the way back.
 */
'use strict';

/* A number of 64 bits, or of 32. */
class Float {
  constructor(value, bits = 64) {
    this.value = value;
    this.bits = bits;
  }
  /* In as few digits as tell it from the next, and where it is long as 1.8446744073709552e+19, 1e-6. */
  toString() {
    const [digits, exponent] = this.value.toExponential().split('e');
    const [least, most] = this.bits === 32 ? [-6, 12] : [-5, 15];
    if (exponent < least || exponent > most) return `${digits}e${exponent}`;
    const plain = exponent < 0 ? this.value.toFixed(digits.replace(/\D/g, '').length - 1 - exponent) : `${this.value}`;
    const signed = Object.is(this.value, -0) ? '-0' : plain;
    return /^-?\d+$/.test(signed) ? `${signed}.0` : signed;
  }
}

const MARK = '\u0000number:';
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const LEAST = -(1n << 63n);
const MOST = (1n << 64n) - 1n;

function float(token) {
  const value = Number(token);
  if (!Number.isFinite(value)) throw new Error('number out of range');
  return new Float(value);
}

function number(token) {
  if (/[.eE]/.test(token) || /^-0+$/.test(token)) return float(token);
  const whole = BigInt(token);
  if (whole < LEAST || whole > MOST) return float(token);
  return Number.isSafeInteger(Number(whole)) ? Number(whole) : whole;
}

function parse(source) {
  const marked = source.replace(TOKENS, (token) =>
    token[0] === '"' || (/^-?\d{1,15}$/.test(token) && token !== '-0') ? token : `"\\u0000number:${token}"`,
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
