/*
 * qdrant.js
 *	  A stand-in for Qdrant 1.19, for where none is at hand (QDRANT_URL names a
 *	  real one): collections, aliases, payload indexes, points, exact counts and
 *	  estimates, scrolling, by-id reads, strict mode, keys, with its envelope and
 *	  its texts of refusal. It takes the same writes, so that what loads a real
 *	  server loads this one; it has no way in beside them. No search, no cluster.
 *
 *	  node qdrant.js [--api-key K] [--read-only-api-key K] [--port N] [--until-stdin-closes]
 *
 * As if its optimizers never ran, points_count goes on counting what an upsert
 * replaced.
 */
'use strict';
const crypto = require('crypto');
const { options, serve, text } = require('./server.js');
const { Float, parse, print, isInteger, isNumber, isObject, toNumber } = require('./qdrant/json.js');
const {
  Refusal,
  badInput,
  badRequest,
  badBody,
  invalid,
  notFound,
  pointId,
  compareIds,
} = require('./qdrant/refusal.js');
const { Filter, parsePath, valuesAt, pick, omit, isTime, isPlace } = require('./qdrant/filter.js');

const { 'api-key': API_KEY, 'read-only-api-key': READ_KEY } = options();
const MOST_BYTES = 32 * 1024 * 1024;
const collections = new Map(); /* name -> Collection */
const aliases = new Map(); /* alias -> name */

/* ---- a collection ---- */

/* A 32-bit floating point number in as few digits as tell it from the next. */
function single(x) {
  const rounded = Math.fround(x);
  const digits = [6, 7, 8, 9].find((n) => Math.fround(Number(rounded.toPrecision(n))) === rounded);
  return new Float(Number(rounded.toPrecision(digits)));
}

class Collection {
  constructor(body) {
    this.params = {
      vectors: body.vectors || {},
      ...(body.sparse_vectors ? { sparse_vectors: body.sparse_vectors } : {}),
      shard_number: 1,
      replication_factor: 1,
      write_consistency_factor: 1,
      on_disk_payload: true,
    };
    this.strict = body.strict_mode_config || null;
    this.metadata = body.metadata;
    this.indexes = {}; /* payload key -> {data_type, params} */
    this.points = new Map(); /* id as text -> {id, payload, vector} */
    this.replaced = 0;
    this.operations = 0;
    this.order = null; /* points by id, until one comes or goes */
  }

  inOrder() {
    if (!this.order) this.order = [...this.points.values()].sort((a, b) => compareIds(a.id, b.id));
    return this.order;
  }

  put(id, payload, vector) {
    const stored = this.vectors(vector);
    if (payload !== undefined && payload !== null && !isObject(payload)) throw badBody('invalid type: expected a map');
    if (this.points.has(String(id))) this.replaced++;
    else this.order = null;
    const old = this.points.get(String(id));
    const point = { id, payload: payload || {}, vector: stored };
    if (old) Object.assign(old, point);
    else this.points.set(String(id), point);
  }

  remove(id) {
    if (this.points.delete(String(id))) this.order = null;
  }

  /* As it will be given back: 32-bit numbers, of length 1 where the distance is Cosine. */
  vectors(given) {
    const { vectors } = this.params;
    if ('size' in vectors) return this.dense(given, vectors);
    if (!isObject(given)) throw badInput('Not existing vector name error: ');
    return Object.fromEntries(
      Object.entries(given).map(([name, vector]) => {
        if (vectors[name]) return [name, this.dense(vector, vectors[name])];
        if ((this.params.sparse_vectors || {})[name])
          return [name, { indices: vector.indices, values: vector.values.map((x) => single(toNumber(x))) }];
        throw badInput(`Not existing vector name error: ${name}`);
      }),
    );
  }

  dense(vector, { size, distance, multivector_config: multi }) {
    if (multi && Array.isArray(vector) && Array.isArray(vector[0]))
      return vector.map((one) => this.dense(one, { size, distance }));
    if (!Array.isArray(vector) || !vector.every(isNumber))
      throw badBody('data did not match any variant of untagged enum VectorStruct');
    if (vector.length !== size) throw badInput(`Vector dimension error: expected dim: ${size}, got ${vector.length}`);
    const length = distance === 'Cosine' ? Math.hypot(...vector.map(toNumber)) || 1 : 1;
    return vector.map((x) => single(toNumber(x) / length));
  }

  filter(given) {
    return given === undefined || given === null
      ? null
      : new Filter(
          given,
          Object.fromEntries(Object.entries(this.indexes).map(([key, { data_type: type }]) => [key, type])),
        );
  }

  filtered(filter) {
    return filter ? this.inOrder().filter(filter.passes) : this.inOrder();
  }

  approximateCount() {
    return this.points.size + this.replaced;
  }

  info() {
    return {
      status: 'green',
      optimizer_status: 'ok',
      indexed_vectors_count: 0,
      points_count: this.approximateCount(),
      segments_count: 2,
      config: {
        params: this.params,
        hnsw_config: { m: 16, ef_construct: 100, full_scan_threshold: 10000, max_indexing_threads: 0, on_disk: false },
        optimizer_config: {
          deleted_threshold: new Float(0.2),
          vacuum_min_vector_number: 1000,
          default_segment_number: 0,
          max_segment_size: null,
          memmap_threshold: null,
          indexing_threshold: 10000,
          flush_interval_sec: 5,
          max_optimization_threads: null,
        },
        wal_config: { wal_capacity_mb: 32, wal_segments_ahead: 0 },
        quantization_config: null,
        ...(this.strict ? { strict_mode_config: this.strict } : {}),
        ...(this.metadata ? { metadata: this.metadata } : {}),
      },
      payload_schema: Object.fromEntries(
        Object.entries(this.indexes).map(([key, index]) => [
          key,
          { ...index, points: this.indexed(key, index.data_type) },
        ]),
      ),
      update_queue: { length: 0 },
    };
  }

  /* how many points have something under the key that an index of the type holds */
  indexed(key, type) {
    const path = parsePath(key);
    return this.inOrder().filter(({ payload }) => valuesAt(payload, path).flat().some(INDEXES[type])).length;
  }
}

const UUID = /^(urn:uuid:)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;
const isText = (value) => typeof value === 'string';
const INDEXES = {
  keyword: isText,
  text: isText,
  integer: isInteger,
  float: isNumber,
  geo: isPlace,
  bool: (value) => typeof value === 'boolean',
  datetime: isTime,
  uuid: (value) => isText(value) && UUID.test(value),
};

function named(name) {
  const collection = collections.get(aliases.get(name) || name);
  if (!collection) throw notFound(`Collection \`${name}\` doesn't exist!`);
  return collection;
}

/* ---- strict mode ---- */

function limit(value, most, what) {
  if (most !== undefined && most !== null && value > most)
    throw badRequest(
      `Limit exceeded ${value} > ${most} for "${what}". Help: Reduce the "${what}" parameter to or below ${most}.`,
    );
}

/* A bucket of so many tokens, filled again in a minute. */
function rate(collection, cost) {
  const most = collection.strict.read_rate_limit;
  if (!most) return;
  const now = Date.now();
  const { tokens, at } = collection.bucket || { tokens: most, at: now };
  const left = Math.min(most, tokens + ((now - at) * most) / 60000);
  collection.bucket = { tokens: left >= cost ? left - cost : left, at: now };
  if (left >= cost) return;
  const wait = Math.ceil(((cost - left) * 60) / most);
  throw new Refusal(
    429,
    `Rate limiting exceeded: Read rate limit exceeded: Operation requires ${cost} tokens ` +
      `but only ${left.toFixed(1)} were available. Retry after ${wait}s`,
    { 'retry-after': String(wait) },
  );
}

function strictly(collection, { filter, limit: asked, exact, timeout }) {
  const { strict } = collection;
  if (!strict || !strict.enabled) return;
  limit(timeout, strict.max_timeout, 'timeout');
  limit(asked, strict.max_query_limit, 'limit');
  if (filter) {
    const { conditions, largest, unindexed } = filter;
    if (strict.filter_max_conditions && conditions > strict.filter_max_conditions)
      throw badRequest(
        `Filter condition limit reached (${conditions} > ${strict.filter_max_conditions}). ` +
          'Help: Reduce the amount of conditions of your filter.',
      );
    if (strict.condition_max_size && largest > strict.condition_max_size)
      throw badRequest(
        `Condition size limit reached (${largest} > ${strict.condition_max_size}). ` +
          'Help: Reduce the size of your condition.',
      );
    if (strict.unindexed_filtering_retrieve === false && unindexed)
      throw badRequest(
        `Index required but not found for "${unindexed.key}" of one of the following types: ` +
          `[${unindexed.types.join(', ')}]. Help: Create an index for this key or use a different filter.`,
      );
  }
  if (exact && strict.search_allow_exact === false) throw badRequest('Exact search disabled!. Help: Set exact=false.');
  rate(collection, 1 + (filter ? filter.conditions : 0));
}

/* ---- what is asked of points ---- */

const untagged = (name) => badBody(`data did not match any variant of untagged enum ${name}`);
const isNames = (value) => Array.isArray(value) && value.every(isText);
function payloadOf(point, wanted) {
  if (wanted === true) return point.payload;
  if (isNames(wanted)) return pick(point.payload, wanted.map(parsePath));
  if (isObject(wanted) && isNames(wanted.include)) return pick(point.payload, wanted.include.map(parsePath));
  if (isObject(wanted) && isNames(wanted.exclude)) return omit(point.payload, wanted.exclude.map(parsePath));
  throw untagged('WithPayloadInterface');
}
function vectorOf(point, wanted) {
  if (wanted === true) return point.vector;
  if (!isNames(wanted)) throw untagged('WithVector');
  return isObject(point.vector)
    ? Object.fromEntries(Object.entries(point.vector).filter(([name]) => wanted.includes(name)))
    : {};
}
function record(point, withPayload, withVector) {
  return {
    id: point.id,
    ...(withPayload ? { payload: payloadOf(point, withPayload) } : { payload: null }),
    ...(withVector ? { vector: vectorOf(point, withVector) } : {}),
  };
}
const withVector = (body) => body.with_vector || body.with_vectors || false;

function orderedScroll(collection, body, filter, most) {
  if (body.offset !== undefined && body.offset !== null)
    throw badInput(
      'Cannot use an `offset` when using `order_by`. The alternative for paging is to use `order_by.start_from` ' +
        "and a filter to exclude the IDs that you've already seen for the `order_by.start_from` value",
    );
  const { key, direction = 'asc', start_from: from } = isText(body.order_by) ? { key: body.order_by } : body.order_by;
  const { data_type: type } = collection.indexes[key] || {};
  if (!['integer', 'float', 'datetime', 'uuid'].includes(type))
    throw badRequest(`No range index for \`order_by\` key: \`${key}\`. Please create one to use \`order_by\`.`);
  const comparable = (value) => (type === 'datetime' ? Date.parse(value) : type === 'uuid' ? value : toNumber(value));
  const sign = direction === 'desc' ? -1 : 1;
  const rows = collection.filtered(filter).flatMap((point) =>
    valuesAt(point.payload, parsePath(key))
      .flat()
      .filter(INDEXES[type])
      .map((value) => ({ point, at: comparable(value), value })),
  );
  return {
    points: rows
      .filter(
        ({ at }) =>
          from === undefined ||
          from === null ||
          sign * (at < comparable(from) ? -1 : Number(at > comparable(from))) >= 0,
      )
      .sort((a, b) => sign * (a.at < b.at ? -1 : Number(a.at > b.at)) || compareIds(a.point.id, b.point.id))
      .slice(0, most)
      .map(({ point, value }) => ({
        ...record(point, body.with_payload === undefined ? true : body.with_payload, withVector(body)),
        order_value: value,
      })),
    next_page_offset: null,
  };
}

/* The place of the first point with this id or a greater one. */
function placeOf(points, id) {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareIds(points[middle].id, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function scroll(collection, body, { timeout }) {
  const most = body.limit === undefined || body.limit === null ? 10 : body.limit;
  if (!isInteger(most) || most < 0) throw badBody(`invalid value: ${print(most)}, expected usize`);
  if (most < 1) throw invalid(`limit: value ${most} invalid, must be 1 or larger`);
  const filter = collection.filter(body.filter);
  const from = body.offset === undefined || body.offset === null ? null : pointId(body.offset);
  strictly(collection, { filter, limit: most, timeout });
  if (body.order_by) return orderedScroll(collection, body, filter, most);
  const points = collection.inOrder();
  const shown = [];
  let next = null;
  for (let i = from === null ? 0 : placeOf(points, from); i < points.length && next === null; i++) {
    if (filter && !filter.passes(points[i])) continue;
    if (shown.length < most)
      shown.push(record(points[i], body.with_payload === undefined ? true : body.with_payload, withVector(body)));
    else next = points[i].id;
  }
  return { points: shown, next_page_offset: next };
}

function count(collection, body, { timeout }) {
  const filter = collection.filter(body.filter);
  const exact = body.exact === undefined ? true : body.exact;
  if (typeof exact !== 'boolean') throw badBody(`invalid type: ${typeof exact}, expected a boolean`);
  strictly(collection, { filter, exact, timeout });
  const found = filter && exact ? collection.filtered(filter).length : collection.points.size;
  if (exact) return { count: found };
  /* an estimate: between nothing and all, and no more is promised */
  return {
    count: filter
      ? Math.max(1, Math.min(collection.points.size - 1, Math.round(collection.filtered(filter).length * 0.65)))
      : collection.approximateCount(),
  };
}

function retrieve(collection, body, { timeout }) {
  if (!Array.isArray(body.ids)) throw badBody('missing field `ids`');
  const ids = [...new Set(body.ids.map((id) => String(pointId(id))))];
  strictly(collection, { timeout });
  return ids
    .map((id) => collection.points.get(id))
    .filter(Boolean)
    .map((point) => record(point, body.with_payload || false, withVector(body)));
}

/* {"points": [...]} or {"batch": {ids, vectors, payloads}} */
function upsert(collection, body) {
  const { batch } = body;
  if (batch) {
    const vector = (i) =>
      Array.isArray(batch.vectors)
        ? batch.vectors[i]
        : Object.fromEntries(Object.entries(batch.vectors).map(([name, list]) => [name, list[i]]));
    batch.ids.forEach((id, i) => collection.put(pointId(id), (batch.payloads || [])[i], vector(i)));
  } else {
    if (!Array.isArray(body.points)) throw untagged('PointInsertOperations');
    for (const { id, payload, vector } of body.points) collection.put(pointId(id), payload, vector);
  }
}
function remove(collection, body) {
  const doomed = body.points
    ? body.points.map(pointId)
    : collection.filtered(collection.filter(body.filter)).map(({ id }) => id);
  doomed.forEach((id) => collection.remove(id));
}
const changes = (change) => (collection, body, query) => {
  change(collection, body);
  return { operation_id: collection.operations++, status: query.wait === 'true' ? 'completed' : 'acknowledged' };
};

function createIndex(collection, { field_name: key, field_schema: schema }) {
  const type = isObject(schema) ? schema.type : schema;
  if (!isText(key)) throw badBody('missing field `field_name`');
  if (!INDEXES[type]) throw untagged('PayloadFieldSchema');
  parsePath(key);
  collection.indexes[key] = { data_type: type, ...(isObject(schema) ? { params: schema } : {}) };
}

/* ---- routes ---- */

function createCollection(name, body) {
  if (collections.has(name) || aliases.has(name))
    throw new Refusal(409, `Wrong input: Collection \`${name}\` already exists!`);
  if (name.length > 255)
    throw new Refusal(
      422,
      'Validation error in path parameters: ' +
        '[collection_name: value is invalid, the length must be smaller or equal to 255]',
    );
  const bad = /[<>:"/\\|?*\0\x1f]/.exec(name);
  if (bad)
    throw new Refusal(
      422,
      'Validation error in path parameters: ' +
        `[collection_name: value "${name}" invalid, collection name cannot contain "${bad[0]}" char]`,
    );
  collections.set(name, new Collection(body));
  return true;
}
function dropCollection(name) {
  for (const [alias, of] of aliases) if (of === name) aliases.delete(alias);
  return collections.delete(name);
}
function configure(name, body) {
  const collection = named(name);
  if (body.strict_mode_config) collection.strict = { ...collection.strict, ...body.strict_mode_config };
  delete collection.bucket;
  return true;
}

const aliasList = (keep) => ({
  aliases: [...aliases]
    .filter(([alias, name]) => keep(alias, name))
    .map(([alias_name, collection_name]) => ({ alias_name, collection_name })),
});
function changeAliases({ actions }) {
  for (const { create_alias: made, delete_alias: gone, rename_alias: moved } of actions || []) {
    if (made) {
      if (!collections.has(made.collection_name))
        throw notFound(`Collection \`${made.collection_name}\` doesn't exist!`);
      if (collections.has(made.alias_name))
        throw new Refusal(409, `Wrong input: Collection \`${made.alias_name}\` already exists!`);
      aliases.set(made.alias_name, made.collection_name);
    }
    if (gone && !aliases.delete(gone.alias_name)) throw notFound(`Alias ${gone.alias_name} does not exists!`);
    if (moved) {
      aliases.set(moved.new_alias_name, aliases.get(moved.old_alias_name));
      aliases.delete(moved.old_alias_name);
    }
  }
  return true;
}

function onePoint(collection, id) {
  const wanted = /^\d+$/.test(id) ? BigInt(id) : UUID.test(id) ? pointId(id) : null;
  if (wanted === null) throw badInput(`Can not recognize "${id}" as point id`);
  const point = collection.points.get(String(wanted));
  if (!point) throw notFound(`Point with id ${id} does not exists!`);
  return record(point, true, true);
}

/*
 * Path after its name in {braces}, which may be an alias but where it is made,
 * dropped, or asked for its aliases.
 */
const ROUTES = {
  '/collections': {
    GET: ({ may }) => ({ collections: [...collections.keys()].filter(may).map((name) => ({ name })) }),
  },
  '/aliases': { GET: ({ may }) => aliasList((alias, name) => may(alias) && may(name)) },
  '/collections/aliases': { POST: ({ body }) => changeAliases(body) },
  '/collections/{}': {
    GET: ({ name }) => named(name).info(),
    PUT: ({ name, body }) => createCollection(name, body),
    PATCH: ({ name, body }) => configure(name, body),
    DELETE: ({ name }) => dropCollection(name),
  },
  '/collections/{}/exists': { GET: ({ name }) => ({ exists: collections.has(aliases.get(name) || name) }) },
  '/collections/{}/aliases': { GET: ({ name }) => aliasList((_, of) => of === name) },
  '/collections/{}/index': { PUT: ({ name, body, query }) => changes(createIndex)(named(name), body, query) },
  '/collections/{}/index/{}': {
    DELETE: ({ name, last, query }) => changes((collection) => delete collection.indexes[last])(named(name), {}, query),
  },
  '/collections/{}/points': {
    POST: ({ name, body, query }) => retrieve(named(name), body, query),
    PUT: ({ name, body, query }) => changes(upsert)(named(name), body, query),
  },
  '/collections/{}/points/delete': { POST: ({ name, body, query }) => changes(remove)(named(name), body, query) },
  '/collections/{}/points/count': { POST: ({ name, body, query }) => count(named(name), body, query) },
  '/collections/{}/points/scroll': { POST: ({ name, body, query }) => scroll(named(name), body, query) },
  '/collections/{}/points/{}': { GET: ({ name, last }) => onePoint(named(name), last) },
};
/* What only reads, for keys that may do no more. */
const READS = new Set(
  ['/collections/{}/points', '/collections/{}/points/count', '/collections/{}/points/scroll'].map(
    (route) => `POST ${route}`,
  ),
);

/* The route and its name and last part; undefined for an unknown one. */
function routeOf(path, method) {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch (_) {
        throw badInput(`invalid path part ${part}`);
      }
    });
  const [root, name, middle, last, ...more] = parts;
  const word = { points: ['delete', 'count', 'scroll'], index: [] }[middle];
  if (more.length > 0 || (parts.length === 4 && !word)) return undefined;
  if (parts.length === 2 && name === 'aliases' && method === 'POST') return { route: '/collections/aliases' };
  const route = [
    '',
    root,
    ...(name === undefined ? [] : ['{}']),
    ...(middle === undefined ? [] : [middle]),
    ...(last === undefined ? [] : [word.includes(last) ? last : '{}']),
  ].join('/');
  return ROUTES[route] ? { route, name, last } : undefined;
}

function queryOf(url) {
  const query = Object.fromEntries(url.searchParams);
  for (const name of ['timeout', 'consistency']) {
    const given = query[name];
    if (given === undefined || (name === 'consistency' && ['majority', 'quorum', 'all'].includes(given))) continue;
    if (!/^\d+$/.test(given))
      throw new Refusal(400, `Deserialize error in query parameters: invalid value for ${name}`);
    if (Number(given) < 1)
      throw new Refusal(
        422,
        `Validation error in query parameters: [${name}: value ${given} invalid, must be 1 or larger]`,
      );
    query[name] = Number(given);
  }
  return query;
}

function bodyOf(method, source) {
  if (method === 'GET' || method === 'DELETE') return {};
  if (source.length > MOST_BYTES)
    throw new Refusal(
      400,
      `JSON payload (${source.length} bytes) is larger than allowed (limit: ${MOST_BYTES} bytes).`,
    );
  if (source.length === 0) throw badBody('EOF while parsing a value at line 1 column 0');
  let body;
  try {
    body = parse(source.toString());
  } catch (error) {
    throw badBody(error.message);
  }
  if (!isObject(body)) throw badBody('invalid type: expected struct');
  return body;
}

/* ---- who may ---- */

const unbase64 = (part) => Buffer.from(part, 'base64url').toString();

/* What a token signed with the API key allows, or why it does not. */
function claimsOf(token) {
  const [head, claims, signature] = token.split('.');
  if (signature === undefined) return { refused: [401, 'Invalid API key or JWT'] };
  if (crypto.createHmac('sha256', API_KEY).update(`${head}.${claims}`).digest('base64url') !== signature)
    return { refused: [403, 'InvalidSignature'] };
  const { exp, access = 'm' } = JSON.parse(unbase64(claims));
  return exp !== undefined && exp + 30 < Date.now() / 1000 ? { refused: [403, 'ExpiredSignature'] } : { access };
}

/* What the request may: {access}, or {refused: [status, text]} as the middleware says it. */
function accessOf(request) {
  if (!API_KEY) return { access: 'm' };
  const given = request.headers['api-key'] || (/^Bearer (.+)$/.exec(request.headers.authorization || '') || [])[1];
  if (!given) return { refused: [401, 'Must provide an API key or an Authorization bearer token'] };
  if (given === API_KEY) return { access: 'm' };
  return given === READ_KEY ? { access: 'r' } : claimsOf(given);
}

function check(access, { route, name }, method) {
  const forbidden = (what) => new Refusal(403, `Forbidden: ${what}`);
  const writes = !(method === 'GET' || READS.has(`${method} ${route}`));
  if (access === 'm') return;
  if (access === 'r') {
    if (writes) throw forbidden('Global manage access is required');
  } else if (name !== undefined) {
    const grant = access.find(({ collection }) => collection === name);
    if (!grant) throw forbidden(`Access to collection ${name} is required`);
    if (writes && grant.access === 'r') throw forbidden(`Write access to collection ${name} is required`);
  } else if (writes) throw forbidden('Global manage access is required');
}
const mayOf = (access) =>
  Array.isArray(access) ? (name) => access.some(({ collection }) => collection === name) : () => true;

/* ---- the server ---- */

function envelope(response, status, value, started, headers = {}) {
  const time = new Float(Number(process.hrtime.bigint() - started) / 1e9);
  const body = print({ ...value, time });
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

function handle(request, response, { url, path, body }) {
  const started = process.hrtime.bigint();
  const { method } = request;
  if (path === '/')
    return text(
      response,
      200,
      JSON.stringify({ title: 'qdrant - vector search engine', version: '1.19.0', commit: '0'.repeat(40) }),
      { 'content-type': 'application/json' },
    );
  if (path === '/healthz' || path === '/livez') return text(response, 200, 'healthz check passed');
  if (path === '/readyz') return text(response, 200, 'all shards are ready');
  const { access, refused } = accessOf(request);
  if (refused) return text(response, ...refused);
  try {
    const found = routeOf(path, method);
    if (!found) return response.writeHead(404, { 'content-length': 0 }).end();
    const answer = ROUTES[found.route][method];
    if (!answer) return response.writeHead(405, { 'content-length': 0 }).end();
    check(access, found, method);
    const result = answer({ ...found, query: queryOf(url), body: bodyOf(method, body), may: mayOf(access) });
    return envelope(response, 200, { result, status: 'ok' }, started);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return envelope(response, error.status, { status: { error: error.message } }, started, error.headers);
  }
}

serve(handle);
