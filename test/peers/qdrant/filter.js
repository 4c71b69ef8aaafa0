/*
 * filter.js
 *	  Qdrant's filter language: what is one, which points pass it, and which
 *	  payload keys it would want indexed.
 *
 * A filter is compiled before any point is looked at, so that a wrong one is
 * refused by an empty collection too. Conditions that the tests do not need
 * (geo_polygon, slice) fail as the stand-in's own fault, not as Qdrant's.
 */
'use strict';
const { Float, isInteger, isNumber, isObject, toNumber } = require('./json.js');
const { badBody, invalid, pointId } = require('./refusal.js');

/* ---- paths into a payload: a.b, a[].b, a[0], "a.b" ---- */

const STEP = /(?:^|\.)(?:"([^"\\]*)"|([\p{L}\p{N}_-]+))|\[(\d*)\]/uy;
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

function valuesAt(payload, path) {
  let found = [payload];
  for (const { key, index, every } of path) {
    if (key !== undefined) found = found.filter((at) => isObject(at) && Object.hasOwn(at, key)).map((at) => at[key]);
    else if (every) found = found.filter(Array.isArray).flat();
    else found = found.filter((at) => Array.isArray(at) && index < at.length).map((at) => at[index]);
  }
  return found;
}

/* A payload with only, or without, what the paths lead to. */
function pick(value, paths) {
  if (paths.some((path) => path.length === 0)) return value;
  if (Array.isArray(value)) {
    const inner = paths.filter(([step]) => step.every).map((path) => path.slice(1));
    return inner.length
      ? value.map((element) => pick(element, inner)).filter((element) => element !== undefined)
      : undefined;
  }
  if (!isObject(value)) return undefined;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, member]) => [
        key,
        pick(
          member,
          paths.filter(([step]) => step.key === key).map((path) => path.slice(1)),
        ),
      ])
      .filter(([key, member]) => member !== undefined && paths.some(([step]) => step.key === key)),
  );
}
function omit(value, paths) {
  if (Array.isArray(value))
    return value.map((element) =>
      omit(
        element,
        paths.filter(([step]) => step.every).map((path) => path.slice(1)),
      ),
    );
  if (!isObject(value)) return value;
  const inner = (key) => paths.filter(([step]) => step && step.key === key).map((path) => path.slice(1));
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !inner(key).some((path) => path.length === 0))
      .map(([key, member]) => [key, omit(member, inner(key))]),
  );
}

/* ---- conditions on a key ---- */

const words = (text) =>
  text
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
const scalarKinds = [(value) => typeof value === 'string', isInteger, (value) => typeof value === 'boolean'];
const sameKind = (list, kinds) => Array.isArray(list) && kinds.some((kind) => list.every(kind));
const equal = (a, b) => (isInteger(a) && isInteger(b) ? BigInt(a) === BigInt(b) : a === b);
const UNTAGGED = 'data did not match any variant of untagged enum Match';

const MATCHES = {
  value: (wanted) => {
    if (!scalarKinds.some((kind) => kind(wanted))) throw badBody(UNTAGGED);
    return (value) => equal(value, wanted);
  },
  any: (wanted) => {
    if (!sameKind(wanted, scalarKinds.slice(0, 2))) throw badBody(UNTAGGED);
    return (value) => wanted.some((one) => equal(value, one));
  },
  except: (wanted) => {
    if (!sameKind(wanted, scalarKinds.slice(0, 2))) throw badBody(UNTAGGED);
    return (value) => !wanted.some((one) => equal(value, one));
  },
  text: (wanted, indexed) => (value) =>
    typeof value === 'string' &&
    (indexed ? words(wanted).every((word) => words(value).includes(word)) : value.includes(wanted)),
  text_any: (wanted) => (value) =>
    typeof value === 'string' && words(wanted).some((word) => words(value).includes(word)),
  phrase: (wanted) => (value) => typeof value === 'string' && value.includes(wanted),
  prefix: (wanted) => (value) => typeof value === 'string' && value.startsWith(wanted),
};

function compileMatch(match, isTextIndexed) {
  const [kind, ...more] = Object.keys(isObject(match) ? match : {});
  if (!MATCHES[kind] || more.length > 0) throw badBody(UNTAGGED);
  if (['text', 'text_any', 'phrase', 'prefix'].includes(kind) && typeof match[kind] !== 'string')
    throw badBody(UNTAGGED);
  return MATCHES[kind](match[kind], isTextIndexed);
}

const BOUNDS = ['gt', 'gte', 'lt', 'lte'];
function compileRange(range, toComparable) {
  if (!isObject(range)) throw badBody('data did not match any variant of untagged enum RangeInterface');
  const bound = {};
  for (const [name, value] of Object.entries(range)) {
    if (!BOUNDS.includes(name))
      throw badBody(`unknown field \`${name}\`, expected one of \`lt\`, \`gt\`, \`gte\`, \`lte\``);
    if (value !== null) bound[name] = toComparable(value);
    if (Number.isNaN(bound[name])) throw badBody('data did not match any variant of untagged enum RangeInterface');
  }
  return (x) => !(x <= bound.gt || x < bound.gte || x >= bound.lt || x > bound.lte);
}
const isTime = (value) =>
  typeof value === 'string' && /^\d{4}-\d\d-\d\d/.test(value) && !Number.isNaN(Date.parse(value));
function range(given) {
  if (isObject(given) && Object.values(given).some((value) => typeof value === 'string')) {
    const within = compileRange(given, (value) => (isTime(value) ? Date.parse(value) : NaN));
    return (value) => isTime(value) && within(Date.parse(value));
  }
  /* as 64-bit floating point numbers, whatever the payload holds */
  const within = compileRange(given, (value) => (isNumber(value) ? toNumber(value) : NaN));
  return (value) => isNumber(value) && within(toNumber(value));
}

const isPlace = (value) => isObject(value) && isNumber(value.lon) && isNumber(value.lat);
const place = ({ lon, lat }) => ({ lon: toNumber(lon), lat: toNumber(lat) });
function geoBoundingBox({ top_left: topLeft, bottom_right: bottomRight }) {
  const [from, to] = [place(topLeft), place(bottomRight)];
  return (value) =>
    isPlace(value) &&
    from.lon < toNumber(value.lon) &&
    toNumber(value.lon) < to.lon &&
    to.lat < toNumber(value.lat) &&
    toNumber(value.lat) < from.lat;
}
function geoRadius({ center, radius }) {
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

/* An array passes when one of its elements does; a key that is not there passes none of these but except. */
const ofElements = (test) => (values) =>
  values.some((value) => (Array.isArray(value) ? value.some(test) : test(value)));
const isNothing = (value) => value === null || (Array.isArray(value) && value.length === 0);
const isEmpty = (values) => values.every(isNothing);
const isNull = (values) => values.some((value) => value === null || (Array.isArray(value) && value.includes(null)));
const FIELD = {
  match: (given, indexed) => {
    const test = ofElements(compileMatch(given, indexed));
    return 'except' in given ? (values) => isEmpty(values) || test(values) : test;
  },
  range: (given) => ofElements(range(given)),
  geo_bounding_box: (given) => ofElements(geoBoundingBox(given)),
  geo_radius: (given) => ofElements(geoRadius(given)),
  values_count: (given) => {
    const within = compileRange(given, toNumber);
    const count = (value) => (value === null ? 0 : Array.isArray(value) ? value.length : 1);
    return (values) => (values.length === 0 ? within(0) : values.some((value) => within(count(value))));
  },
  is_empty: (given) => (values) => isEmpty(values) === given,
  is_null: (given) => (values) => isNull(values) === given,
};

/* ---- conditions and filters ---- */

const CONDITION =
  'Expected some form of condition, which can be a field condition (like {"key": ..., "match": ... }), ' +
  'or some other mentioned in the documentation: ' +
  'https://qdrant.tech/documentation/concepts/filtering/#filtering-conditions';
const CLAUSES = ['should', 'min_should', 'must', 'must_not'];
const LATER = ['geo_polygon', 'slice'];

const typesFor = (kind, given) => {
  if (kind === 'range')
    return Object.values(given).some((value) => typeof value === 'string') ? ['datetime'] : ['float', 'integer'];
  if (kind.startsWith('geo')) return ['geo'];
  if (kind !== 'match') return ['bool', 'datetime', 'float', 'geo', 'integer', 'keyword', 'text', 'uuid'];
  const wanted = Object.values(given).flat()[0];
  if (['text', 'text_any', 'phrase'].includes(Object.keys(given)[0])) return ['text'];
  return typeof wanted === 'boolean' ? ['bool'] : isInteger(wanted) ? ['integer'] : ['keyword', 'uuid'];
};

class Filter {
  /* indexes: payload key -> type, of the collection */
  constructor(filter, indexes = {}) {
    this.indexes = indexes;
    this.conditions = 0;
    this.largest = 0; /* elements in one condition */
    this.unindexed = null; /* {key, types} of the first key that no index serves */
    this.passes = this.compile(filter);
  }

  compile(filter) {
    if (!isObject(filter))
      throw badBody(`invalid type: ${Array.isArray(filter) ? 'sequence' : typeof filter}, expected struct Filter`);
    for (const key of Object.keys(filter))
      if (!CLAUSES.includes(key))
        throw badBody(`unknown field \`${key}\`, expected one of \`should\`, \`min_should\`, \`must\`, \`must_not\``);
    const list = (part) =>
      part === undefined || part === null
        ? null
        : (Array.isArray(part) ? part : [part]).map((one) => this.condition(one));
    const [must, mustNot, should] = [list(filter.must), list(filter.must_not), list(filter.should)];
    const enough = filter.min_should
      ? { of: list(filter.min_should.conditions), count: filter.min_should.min_count }
      : null;
    return (point) =>
      (!should || should.some((test) => test(point))) &&
      (!enough || enough.of.filter((test) => test(point)).length >= enough.count) &&
      (!must || must.every((test) => test(point))) &&
      (!mustNot || !mustNot.some((test) => test(point)));
  }

  condition(given) {
    if (!isObject(given)) throw badBody(CONDITION);
    const kinds = Object.keys(given);
    if (kinds.every((kind) => CLAUSES.includes(kind))) return this.compile(given);
    if (LATER.some((kind) => kind in given)) throw new Error(`the stand-in knows no ${kinds.join(', ')}`);
    this.conditions++;
    this.largest = Math.max(this.largest, 1);
    if ('key' in given) return this.field(given);
    if (kinds.length !== 1) throw badBody(CONDITION);
    switch (kinds[0]) {
      case 'is_empty':
      case 'is_null': {
        const path = parsePath(String(given[kinds[0]].key));
        const test = kinds[0] === 'is_empty' ? isEmpty : isNull;
        return (point) => test(valuesAt(point.payload, path));
      }
      case 'has_id': {
        const ids = new Set(
          (Array.isArray(given.has_id) ? given.has_id : [given.has_id]).map((id) => String(pointId(id))),
        );
        this.largest = Math.max(this.largest, ids.size);
        return (point) => ids.has(String(point.id));
      }
      case 'has_vector':
        return (point) =>
          given.has_vector === ''
            ? Array.isArray(point.vector)
            : isObject(point.vector) && Object.hasOwn(point.vector, given.has_vector);
      case 'nested': {
        const path = parsePath(given.nested.key.endsWith('[]') ? given.nested.key : `${given.nested.key}[]`);
        const inner = this.compile(given.nested.filter);
        return (point) =>
          valuesAt(point.payload, path)
            .filter(isObject)
            .some((payload) => inner({ payload }));
      }
      default:
        throw badBody(CONDITION);
    }
  }

  field({ key, ...given }) {
    if (typeof key !== 'string') throw badBody(CONDITION);
    const path = parsePath(key);
    const present = Object.entries(given).filter(([, value]) => value !== null);
    const unknown = present.find(([kind]) => !FIELD[kind]);
    if (unknown) throw badBody(CONDITION);
    if (present.length === 0) throw invalid('filter.must[0]: At least one field condition must be specified');
    const tests = present.map(([kind, value]) => {
      const types = typesFor(kind, value);
      if (!types.includes(this.indexes[key]) && !this.unindexed) this.unindexed = { key, types };
      if (kind === 'match') this.largest = Math.max(this.largest, [Object.values(value)[0]].flat().length);
      return FIELD[kind](value, this.indexes[key] === 'text');
    });
    return (point) => tests.some((test) => test(valuesAt(point.payload, path)));
  }
}

module.exports = { Filter, Float, parsePath, valuesAt, pick, omit, isTime, isPlace };
