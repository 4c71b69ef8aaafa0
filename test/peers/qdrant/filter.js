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
const { isInteger, isObject } = require('./json.js');
const { badBody, invalid, pointId } = require('./refusal.js');
const { parsePath, printPath, valuesAt } = require('./path.js');
const { holdsNull, isNothing, isText, ofPayload, parseCondition, parseUuid } = require('./condition.js');

const CONDITION =
  'Expected some form of condition, which can be a field condition (like {"key": ..., "match": ... }), ' +
  'or some other mentioned in the documentation: ' +
  'https://qdrant.tech/documentation/concepts/filtering/#filtering-conditions';
const CLAUSES = ['should', 'min_should', 'must', 'must_not'];

/* ---- which index serves a condition ---- */

/* The types of index, by what they can do. */
const TYPE_OF = {
  'integer match': 'integer',
  'integer range': 'integer',
  phrase: 'text (with phrase_matching: true)',
};
const MATCHING = ['bool', 'integer match', 'keyword', 'text', 'phrase', 'uuid'];
const ANY_INDEX = [...MATCHING, 'datetime', 'float', 'geo', 'integer range'];

function capabilitiesForMatch({ kind, wanted }) {
  if (kind === 'phrase') return ['phrase'];
  if (kind === 'text' || kind === 'text_any') return ['text'];
  const list = [wanted].flat();
  if (list.length === 0) return []; /* what says nothing needs no index */
  if (typeof wanted === 'boolean') return ['bool'];
  if (isInteger(list[0])) return ['integer match'];
  return list.every(parseUuid) ? ['keyword', 'uuid'] : ['keyword'];
}

/* What one of which an index must be able to do; [] where none is needed. */
function capabilitiesFor({ match, range, ...rest }) {
  const found = match ? capabilitiesForMatch(match) : [];
  if (range) found.push(...(range.isTime ? ['datetime'] : ['float', 'integer range']));
  if (rest.geo_bounding_box || rest.geo_radius) found.push('geo');
  if (rest.values_count || rest.is_empty !== undefined || rest.is_null !== undefined) found.push(...ANY_INDEX);
  return found;
}

/* ---- filters ---- */

/* Of no conditions neither "should" nor "min_should" asks anything; but in a nested filter none of none is met. */
const asks = (conditions, nested) => conditions && (nested || conditions.length > 0);

class Filter {
  /* indexes: printed path -> PayloadIndex, of the collection */
  constructor(filter, indexes = {}) {
    this.indexes = indexes;
    this.conditions = 0;
    this.largest = 0; /* elements in one condition */
    this.unindexed = null; /* {key, types} of the first key that no index serves */
    this.passes = this.compile(filter, null);
  }

  /* nested: the path of the array whose elements are asked, or null */
  compile(filter, nested) {
    if (!isObject(filter))
      throw badBody(`invalid type: ${Array.isArray(filter) ? 'sequence' : typeof filter}, expected struct Filter`);
    for (const key of Object.keys(filter))
      if (!CLAUSES.includes(key))
        throw badBody(`unknown field \`${key}\`, expected one of \`should\`, \`min_should\`, \`must\`, \`must_not\``);
    const list = (part) =>
      part === undefined || part === null
        ? null
        : (Array.isArray(part) ? part : [part]).map((one) => this.condition(one, nested));
    const [must, mustNot, should] = [list(filter.must), list(filter.must_not), list(filter.should)];
    const { conditions, min_count: enough } = filter.min_should || {};
    const some = list(conditions);
    return (point) =>
      (!asks(should, nested) || should.some((test) => test(point))) &&
      (!asks(some, nested) || some.filter((test) => test(point)).length >= enough) &&
      (!must || must.every((test) => test(point))) &&
      (!mustNot || !mustNot.some((test) => test(point)));
  }

  /* The first of the forms that fits; members beside it are ignored. */
  condition(given, nested) {
    if (!isObject(given)) throw badBody(CONDITION);
    if (given.slice) throw new Error('the stand-in knows no slice');
    if ('key' in given) return this.field(given, nested);
    const form = ['is_empty', 'is_null', 'has_id', 'has_vector', 'nested'].find((name) => name in given);
    if (form !== undefined) return this[form](given[form], nested);
    if (Object.keys(given).every((kind) => CLAUSES.includes(kind))) return this.compile(given, nested);
    throw badBody(CONDITION);
  }

  /* A condition, of so many elements, on a key that an index should serve. */
  counted(elements, path = null, capabilities = []) {
    this.conditions++;
    this.largest = Math.max(this.largest, elements);
    if (capabilities.length === 0 || this.unindexed) return;
    const key = printPath(path);
    const index = this.indexes[key];
    if (index && capabilities.some((one) => index.has(one))) return;
    const types = capabilities.map((one) => TYPE_OF[one] || one).sort();
    this.unindexed = { key, types: [...new Set(types)] };
  }

  pathOf(given) {
    if (!isObject(given) || !isText(given.key)) throw badBody(CONDITION);
    return parsePath(given.key);
  }

  is_empty(given, nested) {
    const path = this.pathOf(given);
    this.counted(0, [...(nested || []), ...path], ANY_INDEX);
    return ({ payload }) => valuesAt(payload, path).every(isNothing);
  }

  /* An index knows of the nulls in an array, the payload alone does not tell. */
  is_null(given, nested) {
    const path = this.pathOf(given);
    this.counted(0, [...(nested || []), ...path], ANY_INDEX);
    const isNull = !nested && this.indexes[printPath(path)] ? holdsNull : (value) => value === null;
    return ({ payload }) => valuesAt(payload, path).some(isNull);
  }

  /* Elements of an array have no id and no vector. */
  has_id(given, nested) {
    const ids = new Set((Array.isArray(given) ? given : [given]).map((id) => String(pointId(id))));
    this.counted(ids.size);
    return ({ id }) => !nested && ids.has(String(id));
  }

  has_vector(name, nested) {
    if (!isText(name)) throw badBody(CONDITION);
    this.counted(0);
    return ({ vector }) => !nested && Object.hasOwn(vector, name);
  }

  nested(given, outer) {
    const key = this.pathOf(given);
    const path = key[key.length - 1].every ? key : [...key, { every: true }];
    const passes = this.compile(given.filter, [...(outer || []), ...path]);
    return ({ payload }) =>
      valuesAt(payload, path)
        .filter(isObject)
        .some((element) => passes({ payload: element }));
  }

  field(given, nested) {
    const path = this.pathOf(given);
    const parts = parseCondition(given);
    if (Object.keys(parts).length === 0)
      throw invalid('filter.must[0]: At least one field condition must be specified');
    const whole = [...(nested || []), ...path];
    const { kind, wanted } = parts.match || {};
    this.counted(kind === 'any' || kind === 'except' ? wanted.length : 0, whole, capabilitiesFor(parts));
    const index = this.indexes[printPath(whole)];
    const served = index && (nested ? index.servesElement(parts) : index.serves(parts));
    const test = served || ofPayload(parts);
    return ({ payload }) => test(valuesAt(payload, path));
  }
}

module.exports = { Filter };
