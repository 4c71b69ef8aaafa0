/*
 * qdrant.js
 *	  A stand-in for Qdrant 1.18.3, for where none is at hand (QDRANT_URL names a
 *	  real one): collections, aliases, payload indexes, points, exact counts and
 *	  estimates, scrolling, by-id reads, strict mode, keys, with its envelope and
 *	  its texts of refusal. It takes the same writes, so that what loads a real
 *	  server loads this one; it has no way in beside them. No search, no cluster.
 *
 *	  node qdrant.js [--api-key K] [--read-only-api-key K] [--port N] [--until-stdin-closes]
 *
 * It does what Qdrant 1.18.3 does, not what its documentation says: 902_qdrant_as_is.pl
 * has what a running server answered, and holds for both.
 */
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');
const { options, serve } = require('./server.js');
const { Float, parse, print, isInteger, isObject, toNumber } = require('./qdrant/json.js');
const {
  Refusal,
  badInput,
  badRequest,
  badBody,
  untagged,
  invalid,
  notFound,
  pointId,
  isUuid,
  compareIds,
} = require('./qdrant/refusal.js');
const { Collection } = require('./qdrant/collection.js');
const { parsePath, printPath, valuesAt, pick, omit } = require('./qdrant/path.js');
const { PayloadIndex, isIndexType } = require('./qdrant/payload_index.js');
const { strictly } = require('./qdrant/strict.js');
const { parseTime } = require('./qdrant/time.js');

const { 'api-key': API_KEY, 'read-only-api-key': READ_KEY } = options();
const MOST_BYTES = 32 * 1024 * 1024;
const collections = new Map(); /* name -> Collection */
const aliases = new Map(); /* alias -> name */
const isText = (value) => typeof value === 'string';

function named(name) {
  const collection = collections.get(aliases.get(name) || name);
  if (!collection) throw notFound(`Collection \`${name}\` doesn't exist!`);
  return collection;
}

/* ---- what is asked of points ---- */

const isNames = (value) => Array.isArray(value) && value.every(isText);
function payloadOf(point, wanted) {
  if (wanted === true) return point.payload;
  if (isNames(wanted)) return pick(point.payload, wanted.map(parsePath));
  if (isObject(wanted) && isNames(wanted.include)) return pick(point.payload, wanted.include.map(parsePath));
  if (isObject(wanted) && isNames(wanted.exclude)) return omit(point.payload, wanted.exclude.map(parsePath));
  throw untagged('WithPayloadInterface');
}
/* The only one without a name by itself, any others by their names. */
function vectorOf({ vector }, wanted) {
  if (wanted !== true && !isNames(wanted)) throw untagged('WithVector');
  const shown = Object.entries(vector).filter(([name]) => wanted === true || wanted.includes(name));
  return shown.length === 1 && shown[0][0] === '' ? shown[0][1] : Object.fromEntries(shown);
}
function record(point, withPayload, withVector) {
  return {
    id: point.id,
    ...(withPayload ? { payload: payloadOf(point, withPayload) } : {}),
    ...(withVector ? { vector: vectorOf(point, withVector) } : {}),
    ...(point.shard === undefined ? {} : { shard_key: point.shard }),
  };
}
const withPayload = ({ with_payload: wanted }) => (wanted === undefined || wanted === null ? true : wanted);
const withVector = (body) => body.with_vector || body.with_vectors || false;

function orderedScroll(collection, body, filter, most) {
  if (body.offset !== undefined && body.offset !== null)
    throw badInput(
      'Cannot use an `offset` when using `order_by`. The alternative for paging is to use `order_by.start_from` ' +
        "and a filter to exclude the IDs that you've already seen for the `order_by.start_from` value",
    );
  const { key, direction = 'asc', start_from: from } = isText(body.order_by) ? { key: body.order_by } : body.order_by;
  const path = parsePath(key);
  const index = collection.indexes[printPath(path)];
  if (!index || !['integer range', 'float', 'datetime'].some((one) => index.has(one)))
    throw badInput(
      `No range index for \`order_by\` key: \`${printPath(path)}\`. Please create one to use \`order_by\`. Check ` +
        'https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support ' +
        'Range conditions',
    );
  const isTime = index.type === 'datetime';
  const comparable = (value) => (isTime ? parseTime(value) / 1000n : toNumber(value));
  const sign = direction === 'desc' ? -1 : 1;
  const rows = collection.filtered(filter, collection.selected(body)).flatMap((point) =>
    valuesAt(point.payload, path)
      .flat()
      .filter((value) => index.kept([value]).length > 0)
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
        ...record(point, withPayload(body), withVector(body)),
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
  const shards = collection.selected(body);
  const most = body.limit === undefined || body.limit === null ? 10 : body.limit;
  if (!isInteger(most) || most < 0) throw badBody(`invalid value: ${print(most)}, expected usize`);
  if (most < 1) throw invalid(`limit: value ${most} invalid, must be 1 or larger`);
  const filter = collection.filter(body.filter);
  const from = body.offset === undefined || body.offset === null ? null : pointId(body.offset);
  strictly(collection, { filter, limit: most, timeout });
  if (body.order_by) return orderedScroll(collection, body, filter, most);
  const points = collection.inOrder(shards);
  const shown = [];
  let next = null;
  for (let i = from === null ? 0 : placeOf(points, from); i < points.length && next === null; i++) {
    if (filter && !filter.passes(points[i])) continue;
    if (shown.length > 0 && compareIds(shown[shown.length - 1].id, points[i].id) === 0) continue; /* of another shard */
    if (shown.length < most) shown.push(record(points[i], withPayload(body), withVector(body)));
    else next = points[i].id;
  }
  return { points: shown, next_page_offset: next };
}

function count(collection, body, { timeout }) {
  const shards = collection.selected(body);
  const filter = collection.filter(body.filter);
  const exact = body.exact === undefined ? true : body.exact;
  if (typeof exact !== 'boolean') throw badBody(`invalid type: ${typeof exact}, expected a boolean`);
  strictly(collection, { filter, exact, timeout });
  const found = collection.filtered(exact ? filter : null, shards).length;
  if (exact) return { count: found };
  /* an estimate: between nothing and all, and no more is promised */
  return {
    count: filter
      ? Math.max(1, Math.min(collection.points.size - 1, Math.round(collection.filtered(filter).length * 0.65)))
      : collection.approximateCount(),
  };
}

/* Each id costs a token, and none of them nothing. */
function retrieve(collection, body, { timeout }) {
  if (!Array.isArray(body.ids)) throw badBody('missing field `ids`');
  const shards = collection.selected(body);
  const ids = [...new Set(body.ids.map((id) => String(pointId(id))))];
  if (ids.length === 0) return [];
  strictly(collection, { timeout, cost: body.ids.length });
  return ids
    .map((id) => collection.find(id, shards))
    .filter(Boolean)
    .map((point) => record(point, body.with_payload || false, withVector(body)));
}

/* {"points": [...]} or {"batch": {ids, vectors, payloads}} */
function upsert(collection, body) {
  const { batch } = body;
  const vectorOfBatch = (i) =>
    Array.isArray(batch.vectors)
      ? batch.vectors[i]
      : Object.fromEntries(Object.entries(batch.vectors).map(([name, list]) => [name, list[i]]));
  const points = batch
    ? batch.ids.map((id, i) => ({ id, payload: (batch.payloads || [])[i], vector: vectorOfBatch(i) }))
    : body.points;
  if (!Array.isArray(points)) throw untagged('PointInsertOperations');
  for (const shard of collection.written(body))
    for (const { id, payload, vector } of points) collection.put(pointId(id), payload, vector, shard);
}
function remove(collection, body) {
  const doomed = body.points
    ? collection.written(body).flatMap((shard) => body.points.map((id) => ({ id: pointId(id), shard })))
    : collection.filtered(collection.filter(body.filter), collection.selected(body));
  [...doomed].forEach(({ id, shard }) => collection.remove(id, shard));
}
const changes = (change) => (collection, body, query) => {
  change(collection, body);
  return { operation_id: collection.operations++, status: query.wait === 'true' ? 'completed' : 'acknowledged' };
};

function createIndex(collection, { field_name: key, field_schema: schema }) {
  const [type, params] = isObject(schema) ? [schema.type, schema] : [schema];
  if (!isText(key)) throw badBody('missing field `field_name`');
  if (!isIndexType(type)) throw untagged('PayloadFieldSchema');
  collection.indexes[printPath(parsePath(key))] = new PayloadIndex(type, params);
}

const dropIndex = (key) => (collection) => delete collection.indexes[printPath(parsePath(key))];

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

function createShard(collection, { shard_key: key }) {
  if (!isText(key) && !isInteger(key)) throw untagged('ShardKey');
  collection.addShard(key);
  return true;
}
const shardKeys = ({ params, shards }) =>
  params.sharding_method === 'custom' ? { shard_keys: shards.map((key) => ({ key })) } : {};

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
  const wanted = /^\d+$/.test(id) ? BigInt(id) : isUuid(id) ? pointId(id) : null;
  if (wanted === null) throw badInput(`Can not recognize "${id}" as point id`);
  const point = collection.find(wanted);
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
    DELETE: ({ name, last, query }) => changes(dropIndex(last))(named(name), {}, query),
  },
  '/collections/{}/cluster': { GET: ({ name }) => named(name).cluster() },
  '/collections/{}/shards': {
    GET: ({ name }) => shardKeys(named(name)),
    PUT: ({ name, body }) => createShard(named(name), body),
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
    if (!/^\d*[1-9]\d*$/.test(given))
      throw new Refusal(400, `Deserialize error in query parameters: invalid value for ${name}: \`${given}\``);
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

const PACK = { br: zlib.brotliCompressSync, gzip: zlib.gzipSync, deflate: zlib.deflateSync };

/* What of Accept-Encoding is known here: what weighs most, and of that what is first in PACK. */
function packing(accepted = '') {
  const weights = accepted.split(',').map((one) => {
    const [name, ...parameters] = one.split(';').map((part) => part.trim());
    const weight = parameters.map((part) => /^q=([\d.]+)$/.exec(part)).find(Boolean);
    return [name.toLowerCase(), weight ? Number(weight[1]) : 1];
  });
  const weightOf = Object.fromEntries(weights);
  const known = Object.keys(PACK).filter((name) => weightOf[name] > 0);
  return known.sort((a, b) => weightOf[b] - weightOf[a])[0];
}

function send(request, response, status, type, body, headers = {}) {
  const encoding = body === '' ? undefined : packing(request.headers['accept-encoding']);
  const packed = encoding ? PACK[encoding](body) : Buffer.from(body);
  response.writeHead(status, {
    ...(body === '' ? {} : { 'content-type': type }),
    ...(encoding ? { 'content-encoding': encoding, vary: 'accept-encoding' } : {}),
    'content-length': packed.length,
    ...headers,
  });
  response.end(packed);
}
const JSON_TYPE = 'application/json';
const TEXT_TYPE = 'text/plain; charset=utf-8';

function envelope(request, response, status, value, started, headers = {}) {
  const time = new Float(Number(process.hrtime.bigint() - started) / 1e9);
  send(request, response, status, JSON_TYPE, print({ ...value, time }), headers);
}

function handle(request, response, { url, path, body }) {
  const started = process.hrtime.bigint();
  const { method } = request;
  const say = (body, status = 200) => send(request, response, status, TEXT_TYPE, body);
  if (path === '/') {
    const about = { title: 'qdrant - vector search engine', version: '1.18.3', commit: '0'.repeat(40) };
    return send(request, response, 200, JSON_TYPE, JSON.stringify(about));
  }
  if (path === '/healthz' || path === '/livez') return say('healthz check passed');
  if (path === '/readyz') return say('all shards are ready');
  const { access, refused } = accessOf(request);
  if (refused) return say(refused[1], refused[0]);
  try {
    const found = routeOf(path, method);
    if (!found) return say('', 404);
    const answer = ROUTES[found.route][method];
    if (!answer) return say('', 405);
    check(access, found, method);
    const result = answer({ ...found, query: queryOf(url), body: bodyOf(method, body), may: mayOf(access) });
    return envelope(request, response, 200, { result, status: 'ok' }, started);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return envelope(request, response, error.status, { status: { error: error.message } }, started, error.headers);
  }
}

/* Whoever opens a connection has 5 s for each whole request. */
serve(handle, undefined, 5000);
