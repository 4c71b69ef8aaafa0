/*
 * condition.js
 *	  A condition on a key: what it says of a value in a payload, and what an index
 *	  of the key says instead.
 *
 * An index holds only the values of its own type, so a condition that it serves
 * has another meaning than without it: an integer index finds 9 in 9.0, a range
 * finds nothing in an index of times. What an index does not serve is asked of the
 * payload.
 */
'use strict';
const { isInteger, isNumber, isObject, toNumber } = require('./json.js');
const { badBody } = require('./refusal.js');
const { parseTime } = require('./time.js');

const isText = (value) => typeof value === 'string';
const LEAST = -(1n << 63n);
const MOST = (1n << 63n) - 1n;
const isLong = (value) => isInteger(value) && BigInt(value) >= LEAST && BigInt(value) <= MOST;
const UUID = /^(?:urn:uuid:|\{)?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?$/i;
const parseUuid = (value) => {
  const found = isText(value) && UUID.exec(value);
  return found ? found.slice(1).join('').toLowerCase() : undefined;
};

/* ---- match ---- */

const equal = (a, b) => (isInteger(a) && isInteger(b) ? BigInt(a) === BigInt(b) : a === b);
const unlike = () => badBody('data did not match any variant of untagged enum MatchInterface');
const listOf = (value) => {
  if (!Array.isArray(value) || !(value.every(isText) || value.every(isLong))) return undefined;
  return value.filter((one, i) => value.findIndex((other) => equal(one, other)) === i);
};
const scalar = (value) => (isText(value) || isLong(value) || typeof value === 'boolean' ? value : undefined);
const text = (value) => (isText(value) ? value : undefined);
/* In the order in which they are looked for: members beside the first of them are ignored. */
const KINDS = { value: scalar, text, text_any: text, phrase: text, any: listOf, except: listOf };

/* {kind, wanted}; refused where it is none. */
function parseMatch(given) {
  if (!isObject(given)) throw unlike();
  for (const [kind, valid] of Object.entries(KINDS)) {
    const wanted = Object.hasOwn(given, kind) ? valid(given[kind]) : undefined;
    if (wanted !== undefined) return { kind, wanted };
  }
  throw unlike();
}

const within = (list, value) => list.some((one) => equal(one, value));
/* A list is of texts or of integers; what is of neither is not in it. */
function isExcepted(list, value) {
  if (value === null) return true;
  return (list.every(isText) ? isText(value) : isLong(value)) && within(list, value);
}
const MATCHES = {
  value: (wanted) => (value) => equal(value, wanted),
  any: (wanted) => (value) => within(wanted, value),
  except: (wanted) => (value) => !isExcepted(wanted, value),
  text: (wanted) => (value) => isText(value) && value.includes(wanted),
  phrase: (wanted) => (value) => isText(value) && value.includes(wanted),
  text_any: (wanted) => (value) =>
    isText(value) &&
    wanted
      .split(/\s+/u)
      .filter((word) => word !== '')
      .some((word) => value.includes(word)),
};

/* ---- ranges ---- */

const BOUNDS = ['gt', 'gte', 'lt', 'lte'];
const inside = (bound, x) =>
  !(x <= bound.gt || x < bound.gte || x >= bound.lt || x > bound.lte); /* what is not bounded is undefined */
const noRange = () => badBody('data did not match any variant of untagged enum RangeInterfaceUntagged');

/* {isTime, bound}: as 64-bit floating point numbers, or as times where one bound is a text. */
function parseRange(given) {
  if (!isObject(given)) throw noRange();
  const bounds = BOUNDS.filter((name) => given[name] !== undefined && given[name] !== null);
  const areTimes = bounds.some((name) => isText(given[name]));
  const bound = {};
  for (const name of bounds) {
    if (!areTimes && !isNumber(given[name])) throw noRange();
    bound[name] = areTimes ? parseTime(given[name]) : toNumber(given[name]);
    if (bound[name] === undefined) throw badBody('input contains invalid characters');
  }
  return { isTime: areTimes, bound };
}

function inRange({ isTime, bound }) {
  if (isTime)
    return (value) => {
      const time = parseTime(value);
      return time !== undefined && inside(bound, time);
    };
  return (value) => isNumber(value) && inside(bound, toNumber(value));
}

/* The same for an index of 64-bit integers, whose bounds are rounded away from what they let through. */
function longRange({ isTime, bound }) {
  const round = (name, value) => {
    if (isTime) return value / 1000n;
    const whole = name === 'lt' || name === 'gte' ? Math.ceil(value) : Math.floor(value);
    const most = Number(MOST);
    return whole >= most ? MOST : whole <= -most ? LEAST : BigInt(whole);
  };
  const rounded = Object.fromEntries(Object.entries(bound).map(([name, value]) => [name, round(name, value)]));
  return (x) => inside(rounded, x);
}

function floatRange({ isTime, bound }) {
  const floats = Object.entries(bound).map(([name, value]) => [name, isTime ? Number(value / 1000n) : value]);
  return (x) => inside(Object.fromEntries(floats), x);
}

/* ---- places, counts, nothing ---- */

const isPlace = (value) => isObject(value) && isNumber(value.lon) && isNumber(value.lat);
const place = ({ lon, lat }) => ({ lon: toNumber(lon), lat: toNumber(lat) });
function inBox({ top_left: topLeft, bottom_right: bottomRight }) {
  const [from, to] = [place(topLeft), place(bottomRight)];
  return (value) => {
    if (!isPlace(value)) return false;
    const { lon, lat } = place(value);
    return from.lon < lon && lon < to.lon && to.lat < lat && lat < from.lat;
  };
}
function inCircle({ center, radius }) {
  const rad = (degrees) => (degrees * Math.PI) / 180;
  const from = place(center);
  return (value) => {
    if (!isPlace(value)) return false;
    const at = place(value);
    const h =
      Math.sin(rad(at.lat - from.lat) / 2) ** 2 +
      Math.cos(rad(from.lat)) * Math.cos(rad(at.lat)) * Math.sin(rad(at.lon - from.lon) / 2) ** 2;
    return 2 * 6371008.8 * Math.asin(Math.sqrt(h)) < toNumber(radius);
  };
}

function hasCount(given) {
  const bound = Object.fromEntries(
    BOUNDS.filter((name) => isInteger(given[name])).map((name) => [name, Number(given[name])]),
  );
  return (value) => inside(bound, value === null ? 0 : Array.isArray(value) ? value.length : 1);
}
const isNothing = (value) => value === null || (Array.isArray(value) && value.length === 0);
const holdsNull = (value) => value === null || (Array.isArray(value) && value.includes(null));

/* ---- a condition on a key ---- */

const isFlag = (value) => {
  if (typeof value !== 'boolean') throw badBody(`invalid type: ${typeof value}, expected a boolean`);
  return value;
};
const PARTS = {
  match: parseMatch,
  range: parseRange,
  geo_bounding_box: inBox,
  geo_radius: inCircle,
  values_count: hasCount,
  is_empty: isFlag,
  is_null: isFlag,
};

/* What the members say, by their names; {} where none says anything. Unknown members are ignored. */
function parseCondition(given) {
  if (given.geo_polygon) throw new Error('the stand-in knows no geo_polygon');
  const known = Object.keys(PARTS).filter((name) => given[name] !== undefined && given[name] !== null);
  return Object.fromEntries(known.map((name) => [name, PARTS[name](given[name])]));
}

/* The values at the key, without an index; one of them must pass, or of an array one element. */
function ofPayload(parts) {
  const tests = [];
  if (parts.match) tests.push(MATCHES[parts.match.kind](parts.match.wanted));
  if (parts.range) tests.push(inRange(parts.range));
  tests.push(...['geo_bounding_box', 'geo_radius'].filter((name) => parts[name]).map((name) => parts[name]));
  const passes = (value) => tests.some((test) => test(value));
  /* of several members the last of these counts */
  let one = (value) => (Array.isArray(value) ? value.some(passes) : passes(value));
  if (parts.values_count) one = parts.values_count;
  else if (parts.is_empty !== undefined) one = (value) => isNothing(value) === parts.is_empty;
  else if (parts.is_null !== undefined) one = (value) => holdsNull(value) === parts.is_null;
  const none =
    parts.is_empty !== undefined ? parts.is_empty : parts.is_null !== undefined ? !parts.is_null : false;
  return (values) => (values.length === 0 ? none : values.some(one));
}

module.exports = {
  LEAST,
  MOST,
  isText,
  isLong,
  isPlace,
  isNothing,
  holdsNull,
  parseUuid,
  parseCondition,
  ofPayload,
  longRange,
  floatRange,
  equal,
};
