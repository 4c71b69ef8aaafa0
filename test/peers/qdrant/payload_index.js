/*
 * payload_index.js
 *	  An index of a key of the payload: which values it holds, which conditions it
 *	  serves, and what it says of them.
 */
'use strict';
const { isNumber, toNumber } = require('./json.js');
const {
  LEAST,
  MOST,
  isText,
  isLong,
  isPlace,
  isNothing,
  holdsNull,
  parseUuid,
  equal,
  longRange,
  floatRange,
} = require('./condition.js');
const { parseTime } = require('./time.js');

/* 9.0 is 9, and 9.5 is none; 2^63 is the greatest there is, as they are one as floating point numbers. */
function toLong(value) {
  if (isLong(value)) return BigInt(value);
  const number = isNumber(value) ? toNumber(value) : NaN;
  if (!Number.isInteger(number)) return undefined;
  const whole = number >= Number(MOST) ? MOST : number <= Number(LEAST) ? LEAST : BigInt(number);
  return Number(whole) === number ? whole : undefined;
}
function toTime(value) {
  const time = parseTime(value);
  return time === undefined ? undefined : time / 1000n;
}
const onlyIf = (test) => (value) => (test(value) ? value : undefined);
const isOnEarth = ({ lon, lat }) => Math.abs(toNumber(lon)) <= 180 && Math.abs(toNumber(lat)) <= 90;

/* What an index of the type keeps of a value; undefined: nothing. */
const KEEPS = {
  keyword: onlyIf(isText),
  text: onlyIf(isText),
  integer: toLong,
  float: (value) => (isNumber(value) ? toNumber(value) : undefined),
  geo: onlyIf((value) => isPlace(value) && isOnEarth(value)),
  bool: onlyIf((value) => typeof value === 'boolean'),
  datetime: toTime,
  uuid: parseUuid,
};

/* ---- words ---- */

const SPLIT = { word: /[^\p{L}\p{N}]+/u, whitespace: /\s+/u, prefix: /[^\p{L}\p{N}]+/u };

/* The words of a text, as an index with these parameters keeps them. */
function words(params, text) {
  const { tokenizer = 'word', lowercase = true, min_token_len: least = 1, max_token_len: most = Infinity } = params;
  if (!SPLIT[tokenizer] || params.stopwords || params.stemmer || params.ascii_folding)
    throw new Error(`the stand-in knows no such text index: ${JSON.stringify(params)}`);
  return text
    .split(SPLIT[tokenizer])
    .map((word) => (lowercase ? word.toLowerCase() : word))
    .filter((word) => word !== '' && word.length >= least && (tokenizer === 'prefix' || word.length <= most))
    .map((word) => (tokenizer === 'prefix' ? word.slice(0, most) : word));
}
const holds = ({ tokenizer }, kept, word) =>
  tokenizer === 'prefix' ? kept.some((one) => one.startsWith(word)) : kept.includes(word);

/* null ends each text of an array, so that no phrase goes over it */
const follow = (kept, phrase) =>
  phrase.length > 0 && kept.some((_, i) => phrase.every((word, j) => kept[i + j] === word));

/* Whether texts pass a match of text, text_any or phrase. */
function hasWords(params, { kind, wanted }, texts) {
  const asked = words(params, wanted);
  const kept = texts.flatMap((one) => [...words(params, one), null]);
  if (kind === 'phrase') return follow(kept, asked);
  const present = kept.filter((word) => word !== null);
  if (kind === 'text') return asked.length > 0 && asked.every((word) => holds(params, present, word));
  return asked.some((word) => holds(params, present, word));
}

/* ---- the index ---- */

const WORDS = ['text', 'text_any', 'phrase'];

class PayloadIndex {
  /* params: as the index was made with, if with more than its type */
  constructor(type, params) {
    this.type = type;
    this.params = params || {};
    this.schema = { data_type: type, ...(params ? { params } : {}) };
  }

  /* What a phrase needs is there only if it was asked for. */
  get capabilities() {
    const { lookup = true, range = true, phrase_matching: phrases = false } = this.params;
    switch (this.type) {
      case 'integer':
        return [...(lookup ? ['integer match'] : []), ...(range ? ['integer range'] : [])];
      case 'text':
        return ['text', ...(phrases ? ['phrase'] : [])];
      default:
        return [this.type];
    }
  }

  has(capability) {
    return this.capabilities.includes(capability);
  }

  /* The values that it keeps of those at its key. */
  kept(values) {
    return values
      .flat()
      .map(KEEPS[this.type])
      .filter((value) => value !== undefined);
  }

  /* What it says of a match: a test of kept values; undefined: it does not serve this one. */
  servesMatch({ kind, wanted }) {
    if (this.type === 'text' && WORDS.includes(kind))
      return (texts) => (kind !== 'phrase' || this.has('phrase')) && hasWords(this.params, { kind, wanted }, texts);
    if (WORDS.includes(kind)) return undefined;
    const list = [wanted].flat();
    const isOf = { keyword: isText, integer: isLong, bool: (one) => typeof one === 'boolean', uuid: parseUuid };
    if (!isOf[this.type] || !list.every(isOf[this.type])) return undefined;
    if (this.type === 'integer' && (!this.has('integer match') || list.length === 0)) return undefined;
    if (this.type === 'bool' && kind !== 'value') return undefined;
    const keys = list.map(KEEPS[this.type]);
    if (kind === 'except') return (kept) => kept.some((value) => !keys.some((key) => equal(key, value)));
    return (kept) => kept.some((value) => keys.some((key) => equal(key, value)));
  }

  servesRange(range) {
    if (this.type === 'float') {
      const passes = floatRange(range);
      return (kept) => kept.some(passes);
    }
    if (this.type !== 'datetime' && !this.has('integer range')) return undefined;
    const passes = longRange(range);
    return (kept) => kept.some(passes);
  }

  servesPlaces({ geo_radius: circle, geo_bounding_box: box }) {
    const passes = circle || box;
    return this.type === 'geo' && passes ? (kept) => kept.some(passes) : undefined;
  }

  /* What it says of a condition, as a test of the values at its key; undefined: nothing. */
  serves(parts) {
    const test =
      (parts.match && this.servesMatch(parts.match)) ||
      (parts.range && this.servesRange(parts.range)) ||
      this.servesPlaces(parts);
    if (test) return (values) => test(this.kept(values));
    if (parts.is_empty !== undefined) return (values) => values.every(isNothing) === parts.is_empty;
    if (parts.is_null !== undefined) return (values) => values.some(holdsNull) === parts.is_null;
    return undefined;
  }

  /* What it says of one value of an element of an array, as a nested filter asks; undefined: nothing. */
  servesElement({ match }) {
    if (this.type !== 'text' || !match || !WORDS.includes(match.kind)) return undefined;
    return (values) => values.some((value) => hasWords(this.params, match, this.kept([value])));
  }
}

const isIndexType = (type) => Object.hasOwn(KEEPS, type);

module.exports = { PayloadIndex, isIndexType };
