/*
 * qdrant.js
 *	  A stand-in for Qdrant 1.19, for where none is at hand (QDRANT_URL names a
 *	  real one): collections, points, exact counts, scrolling, by-id reads, with
 *	  its envelope, its ids beyond 2^53, its texts of refusal. No search.
 *
 *	  node qdrant.js [--api-key K] [--read-only-api-key K] [--port N] [--until-stdin-closes]
 */
'use strict';
const { options, serve, text } = require('./server.js');

const { 'api-key': API_KEY, 'read-only-api-key': READ_KEY } = options();
const collections = new Map(); /* name -> {params, points: Map(id text -> {id, payload, vector})} */

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}
const badInput = (message) => new Refusal(400, `Wrong input: ${message}`);
const badBody = (message) => new Refusal(400, `Format error in JSON body: ${message}`);
const invalid = (message) => new Refusal(422, `Validation error in JSON body: [${message}]`);
const notFound = (message) => new Refusal(404, `Not found: ${message}`);

/* Ids go up to 2^64-1, so long integers pass through JSON as BigInt. */
const BIG = '\u0000big:';
function parse(source) {
  const quoted = source.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g,
    (token) => (/^\d{16,}$/.test(token) ? `"\\u0000big:${token}"` : token));
  return JSON.parse(quoted, (_, value) => (typeof value === 'string' && value.startsWith(BIG) ? BigInt(value.slice(BIG.length)) : value));
}
function print(value) {
  return JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${BIG}${part}` : part)).replace(/"\\u0000big:(\d+)"/g, '$1');
}

const UUID = /^(?:urn:uuid:)?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$/i;
function pointId(value) {
  if (typeof value === 'bigint' ? value < 1n << 64n : Number.isInteger(value) && value >= 0) return value;
  const uuid = typeof value === 'string' && UUID.exec(value);
  if (uuid) return uuid.slice(1).join('-').toLowerCase();
  throw badBody(`value ${print(value)} is not a valid point ID, valid values are either an unsigned integer or a UUID`);
}
/* All integers first, then the UUIDs by their bytes. */
function compareIds(a, b) {
  const textual = Number(typeof a === 'string') - Number(typeof b === 'string');
  if (textual !== 0) return textual;
  return a < b ? -1 : Number(a > b);
}

/* What a key's path leads to; [] steps into every element. */
function valuesAt(payload, key) {
  let found = [payload];
  for (const [, step, index] of key.matchAll(/("[^"]*"|[^.[\]]+)|\[(\d*)\]/g)) {
    if (step !== undefined) {
      const name = step.replace(/^"(.*)"$/, '$1');
      found = found.filter((at) => at !== null && typeof at === 'object' && !Array.isArray(at) && name in at).map((at) => at[name]);
    } else {
      found = found.filter(Array.isArray).flatMap((at) => (index === '' ? at : index < at.length ? [at[index]] : []));
    }
  }
  return found;
}
const scalars = (values) => values.flatMap((value) => (Array.isArray(value) ? value : [value]));

function matchesValue(match, value) {
  if ('value' in match) return value === match.value;
  if ('any' in match) return match.any.includes(value);
  if ('except' in match) return !match.except.includes(value);
  if ('text' in match) return typeof value === 'string' && value.includes(match.text);
  throw badBody('unknown match');
}
function inRange(range, value) {
  if (typeof value !== 'number' && typeof value !== 'bigint') return false;
  const x = Number(value);
  return !(x <= range.gt || x < range.gte || x >= range.lt || x > range.lte);
}

const CONDITION = 'Expected some form of condition, which can be a field condition (like {"key": ..., "match": ... }), or some other mentioned in the documentation: https://qdrant.tech/documentation/concepts/filtering/#filtering-conditions';
function holds(condition, point) {
  const payload = point.payload || {};
  if (condition.key !== undefined && condition.match) return scalars(valuesAt(payload, condition.key)).some((value) => matchesValue(condition.match, value));
  if (condition.key !== undefined && condition.range) return scalars(valuesAt(payload, condition.key)).some((value) => inRange(condition.range, value));
  if (condition.is_empty) return valuesAt(payload, condition.is_empty.key).every((value) => value === null || (Array.isArray(value) && value.length === 0));
  if (condition.is_null) return valuesAt(payload, condition.is_null.key).some((value) => value === null);
  if (condition.has_id) return condition.has_id.some((id) => compareIds(pointId(id), point.id) === 0);
  if (['must', 'should', 'must_not', 'min_should'].some((word) => word in condition)) return passes(condition, point);
  throw badBody(CONDITION);
}
function passes(filter, point) {
  for (const key of Object.keys(filter))
    if (!['must', 'should', 'must_not', 'min_should'].includes(key)) throw badBody(`unknown field \`${key}\`, expected one of \`should\`, \`min_should\`, \`must\`, \`must_not\``);
  const list = (part) => (part === undefined || part === null ? [] : Array.isArray(part) ? part : [part]);
  const test = (condition) => holds(condition, point);
  const should = list(filter.should);
  const enough = filter.min_should;
  return list(filter.must).every(test) && !list(filter.must_not).some(test) && (should.length === 0 || should.some(test)) &&
    (!enough || enough.conditions.filter(test).length >= enough.min_count);
}
const filtered = (points, filter) => (filter ? points.filter((point) => passes(filter, point)) : points);

function selected(row, payload) {
  if (!payload) return null;
  if (payload === true) return row;
  const keep = Array.isArray(payload) ? payload : payload.include;
  return Object.fromEntries(Object.entries(row || {}).filter(([key]) => (keep ? keep.includes(key) : !payload.exclude.includes(key))));
}
function record(point, body) {
  const shown = { id: point.id };
  if (body.with_payload) shown.payload = selected(point.payload, body.with_payload);
  if (body.with_vector || body.with_vectors) shown.vector = point.vector;
  return shown;
}

function scroll(collection, body) {
  const limit = body.limit === undefined || body.limit === null ? 10 : body.limit;
  if (limit < 1) throw invalid(`limit: value ${limit} invalid, must be 1 or larger`);
  if (body.order_by) throw new Refusal(400, `Bad request: No range index for \`order_by\` key: \`${body.order_by.key || body.order_by}\`. Please create one to use \`order_by\`.`);
  const from = body.offset === undefined || body.offset === null ? null : pointId(body.offset);
  const points = filtered([...collection.points.values()], body.filter)
    .filter((point) => from === null || compareIds(point.id, from) >= 0)
    .sort((a, b) => compareIds(a.id, b.id));
  return {
    points: points.slice(0, limit).map((point) => record(point, { with_payload: true, ...body })),
    next_page_offset: points.length > limit ? points[limit].id : null,
  };
}

function info(collection) {
  return {
    status: 'green', optimizer_status: 'ok', indexed_vectors_count: 0, points_count: collection.points.size, segments_count: 2,
    config: {
      params: { ...collection.params, shard_number: 1, replication_factor: 1, write_consistency_factor: 1, on_disk_payload: true },
      hnsw_config: { m: 16, ef_construct: 100, full_scan_threshold: 10000, max_indexing_threads: 0, on_disk: false },
      optimizer_config: { deleted_threshold: 0.2, vacuum_min_vector_number: 1000, default_segment_number: 0, flush_interval_sec: 5 },
      wal_config: { wal_capacity_mb: 32, wal_segments_ahead: 0 }, quantization_config: null,
    },
    payload_schema: {}, update_queue: { length: 0 },
  };
}

/* GET, PUT and DELETE of /collections/{name}: what makes and unmakes one. */
function ofCollection(method, name, body) {
  if (method === 'PUT') {
    if (collections.has(name)) throw new Refusal(409, `Wrong input: Collection \`${name}\` already exists!`);
    collections.set(name, { params: { vectors: body.vectors || {} }, points: new Map() });
    return true;
  }
  if (method === 'DELETE') return collections.delete(name);
  return info(named(name));
}
function named(name) {
  if (!collections.has(name)) throw notFound(`Collection \`${name}\` doesn't exist!`);
  return collections.get(name);
}

const updated = (collection) => ({ operation_id: (collection.operations = (collection.operations || 0) + 1), status: 'completed' });
const OF_POINTS = {
  'PUT points': (collection, body) => {
    if (!Array.isArray(body.points)) throw badBody('missing field `points`');
    for (const point of body.points) {
      const id = pointId(point.id);
      collection.points.set(String(id), { id, payload: point.payload || {}, vector: point.vector });
    }
    return updated(collection);
  },
  'POST points/delete': (collection, body) => {
    const doomed = body.points ? body.points.map(pointId) : filtered([...collection.points.values()], body.filter).map((point) => point.id);
    doomed.forEach((id) => collection.points.delete(String(id)));
    return updated(collection);
  },
  'POST points/count': (collection, body) => ({ count: filtered([...collection.points.values()], body.filter).length }),
  'POST points/scroll': scroll,
  'POST points': (collection, body) =>
    body.ids.map((id) => collection.points.get(String(pointId(id)))).filter(Boolean).map((point) => record(point, body)),
};

function answer(method, path, source) {
  let body = {};
  if (source !== '') {
    try {
      body = parse(source);
    } catch (error) {
      throw badBody(error.message);
    }
  } else if (method === 'POST') {
    throw badBody('EOF while parsing a value at line 1 column 0');
  }
  const [, root, name, ...rest] = path.replace(/\/+$/, '').split('/').map(decodeURIComponent);
  if (root === 'aliases' && method === 'GET') return { aliases: [] };
  if (root !== 'collections') return undefined;
  if (name === undefined) return method === 'GET' ? { collections: [...collections.keys()].map((key) => ({ name: key })) } : undefined;
  if (rest.length === 0) return ofCollection(method, name, body);
  if (method === 'GET' && rest[0] === 'exists') return { exists: collections.has(name) };
  if (method === 'GET' && rest[0] === 'aliases') return named(name) && { aliases: [] };
  if (method === 'GET' && rest[0] === 'points' && rest.length === 2) {
    const point = named(name).points.get(rest[1]);
    if (!point) throw notFound(`Point with id ${rest[1]} does not exists!`);
    return record(point, { with_payload: true, with_vector: true });
  }
  const operation = OF_POINTS[`${method} ${rest.join('/')}`];
  return operation ? operation(named(name), body) : undefined;
}

/* null where the key is good; otherwise what the server says, as plain text. */
function unauthorized(request, path) {
  if (!API_KEY) return null;
  const given = request.headers['api-key'] || (/^Bearer (.+)$/.exec(request.headers.authorization || '') || [])[1];
  if (!given) return [401, 'Must provide an API key or an Authorization bearer token'];
  if (given === API_KEY) return null;
  if (given !== READ_KEY) return [401, 'Invalid API key or JWT'];
  const reads = request.method === 'GET' || (request.method === 'POST' && /\/points(\/count|\/scroll)?$/.test(path));
  return reads ? null : [403, 'Forbidden: Global manage access is required'];
}

function envelope(response, status, value, started) {
  const time = Number(process.hrtime.bigint() - started) / 1e9;
  const body = print({ ...value, time });
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

function handle(request, response, { path, body }) {
  const started = process.hrtime.bigint();
  if (path === '/') return text(response, 200, JSON.stringify({ title: 'qdrant - vector search engine', version: '1.19.0' }), { 'content-type': 'application/json' });
  if (path === '/healthz' || path === '/livez') return text(response, 200, 'healthz check passed');
  if (path === '/readyz') return text(response, 200, 'all shards are ready');
  const refused = unauthorized(request, path);
  if (refused) return text(response, ...refused);
  try {
    const result = answer(request.method, path, body.toString());
    if (result === undefined) return response.writeHead(404, { 'content-length': 0 }).end();
    return envelope(response, 200, { result, status: 'ok' }, started);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return envelope(response, error.status, { status: { error: error.message } }, started);
  }
}

serve(handle);
