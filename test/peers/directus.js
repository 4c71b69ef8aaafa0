/*
 * directus.js
 *	  A stand-in for Directus 12.4.0 on PostgreSQL, for where the real one is
 *	  not wanted (PEERS=light): items and their counts, and flows that a webhook
 *	  starts, with its tokens, shapes and error texts. What a real server would
 *	  answer is in the tests that run against both.
 *
 *	  node directus.js [--data FILE] [--query-limit-max N] [--licensed] [--port N] [--until-stdin-closes]
 *
 * Without --licensed it has no licence, as the real one of the tests: it regards
 * no permission with a rule or for some fields, makes none, and has at most 25
 * collections.
 *
 * The data, from FILE or POST /_control/data:
 *	  {"collections": {"documents": [{"id": 1, ...}, ...], "big": 1200,
 *	                   "codes": {"key": "code", "types": {"code": "text"}, "singleton": false, "rows": [...]}},
 *	   "tokens": {"secret-1": ["documents"], "secret-2": "*",
 *	              "secret-3": {"documents": {"rule": {"category": {"_eq": "alpha"}}, "fields": ["id"]}}}}
 * A number stands for so many rows {"id": n}. A token of "*" is an admin's. Types
 * are PostgreSQL's; where they are told, a filter's values must fit them. "relations":
 * [{"many": "pieces", "field": "document", "one": "documents", "alias": "pieces"}] makes of a
 * field that holds a key of "one" a way for filters, from both ends.
 */
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const { options, serve, json, text } = require('./server.js');

let data = { collections: {}, tokens: {}, relations: [] };
const LIMIT_MAX = Number(options()['query-limit-max'] || Infinity);
const LICENSED = Boolean(options().licensed);
const MOST_COLLECTIONS = LICENSED ? Infinity : 25;

const numbered = (count) => Array.from({ length: count }, (_, i) => ({ id: i + 1 }));
const made = (told) => ({
  key: 'id',
  types: {},
  singleton: false,
  ...(Array.isArray(told) ? { rows: told } : typeof told === 'number' ? { rows: numbered(told) } : told),
});

/* Users are a collection, too: one for each token. */
function load(told) {
  data = { collections: {}, tokens: told.tokens || {}, relations: told.relations || [] };
  for (const [name, collection] of Object.entries(told.collections || {})) data.collections[name] = made(collection);
  data.collections.directus_users = made(
    Object.keys(data.tokens).map((token) => ({ id: crypto.randomUUID(), email: `${token}@example.com` })),
  );
  for (const name of ['roles', 'files']) data.collections[`directus_${name}`] = made([]);
  data.collections.directus_policies = made([{ id: crypto.randomUUID(), name: 'Administrator' }]);
  for (const { many, field, one, alias } of data.relations)
    for (const row of data.collections[one].rows)
      row[alias] = data.collections[many].rows.filter((of) => of[field] === row.id).map((of) => of.id).slice(0, 100);
}

class Refusal extends Error {
  constructor(status, code, message, extensions = {}) {
    super(message);
    this.status = status;
    this.extensions = { ...extensions, code };
  }
}
const forbiddenReason = (what) => `You don't have permission to access ${what} or it does not exist. Queried in root.`;
const forbidden = (what) => new Refusal(403, 'FORBIDDEN', forbiddenReason(what), { reason: forbiddenReason(what) });
const restricted = (category) =>
  new Refusal(403, 'RESOURCE_RESTRICTED', `${category} is a restricted resource.`, { category });
const unreadable = (collection) => {
  const reason = `You don't have permission to perform "read" for collection "${collection}" or it does not exist.`;
  return new Refusal(403, 'FORBIDDEN', reason, { reason });
};
const hidden = () => new Refusal(403, 'FORBIDDEN', "You don't have permission to access this.");
const invalid = (reason, kind = 'QUERY') =>
  new Refusal(400, `INVALID_${kind}`, `Invalid ${kind.toLowerCase()}. ${reason.replace(/\.$/, '')}.`, {
    reason: reason.replace(/\.$/, ''),
  });

/* A permission that narrows is for who has a licence. */
const narrows = (may) => Boolean(may.rule || may.fields);

/* What the request's token may read: by collection its rule and fields; "*" for all. */
function granted(request, url) {
  const header = /^Bearer (.+)$/i.exec(request.headers.authorization || '');
  const query = url.searchParams.get('access_token');
  if (header && query) throw invalid('The request uses more than one method for including an access token', 'PAYLOAD');
  const token = header ? header[1] : query;
  if (!token) return null;
  if (!(token in data.tokens)) throw new Refusal(401, 'INVALID_CREDENTIALS', 'Invalid user credentials.');
  const may = data.tokens[token];
  if (may === '*') return may;
  const all = Array.isArray(may) ? may.map((name) => [name, {}]) : Object.entries(may);
  return Object.fromEntries(all.filter(([, one]) => LICENSED || !narrows(one)));
}

/* The collection as the token sees it: its rows, and only their fields. */
function seen(name, grants) {
  const may = grants === '*' ? {} : (grants || {})[name];
  const collection = data.collections[name];
  if (!collection || !may) throw forbidden(`collection "${name}"`);
  const view = {
    ...collection,
    name,
    fields: may.fields || Object.keys(collection.types).concat(collection.rows.flatMap(Object.keys)),
  };
  const rows = may.rule
    ? collection.rows.filter((row) => passes(row, may.rule, { ...view, fields: Object.keys(row) }))
    : collection.rows;
  return {
    ...view,
    rows: may.fields ? rows.map((row) => Object.fromEntries(may.fields.map((field) => [field, row[field]]))) : rows,
  };
}

/* GET /permissions/me */
function access(grants) {
  if (grants === null) throw hidden();
  const names = Object.keys(grants === '*' ? data.collections : grants);
  return Object.fromEntries(
    names.map((name) => {
      const may = grants === '*' ? {} : grants[name];
      return [
        name,
        { read: { access: may.rule ? 'partial' : 'full', fields: may.fields || ['*'] }, create: { access: 'none' } },
      ];
    }),
  );
}

const FIELD_TYPES = {
  integer: 'integer',
  smallint: 'integer',
  bigint: 'bigInteger',
  numeric: 'decimal',
  real: 'float',
  'double precision': 'float',
  text: 'text',
  'character varying': 'string',
  uuid: 'uuid',
  boolean: 'boolean',
  json: 'json',
  jsonb: 'json',
  date: 'date',
  'timestamp without time zone': 'dateTime',
  'timestamp with time zone': 'timestamp',
  'time without time zone': 'time',
};

/* GET /fields */
function fields() {
  return Object.entries(data.collections).flatMap(([collection, { key, types }]) =>
    Object.entries(types).map(([field, type]) => ({
      collection,
      field,
      type: FIELD_TYPES[type] || 'unknown',
      schema: { name: field, table: collection, data_type: type, is_primary_key: field === key },
      meta: null,
    })),
  );
}

/* a[b][c]=v as nested objects, the way Directus reads its URL. */
function nested(params) {
  const query = {};
  for (const [name, value] of params) {
    const path = name.replace(/\]/g, '').split('[');
    let at = query;
    path.slice(0, -1).forEach((key) => (at = at[key] = at[key] || {}));
    const last = path[path.length - 1];
    if (last === '') at[Object.keys(at).length] = value;
    else at[last] = value;
  }
  return query;
}

const list = (value) =>
  value === undefined ? [] : typeof value === 'string' ? value.split(',') : Object.values(value);
const number = (value) => (value === null || value === undefined || value === '' ? NaN : Number(value));

/* Many values are looked at once, not for each row. */
const sets = new WeakMap();
function among(want) {
  if (typeof want !== 'object') return new Set(list(want).map(String));
  if (!sets.has(want)) sets.set(want, new Set(list(want).map(String)));
  return sets.get(want);
}

const OPERATORS = {
  _eq: (have, want) => have !== null && String(have) === String(want),
  _neq: (have, want) => have !== null && String(have) !== String(want),
  _in: (have, want) => have !== null && among(want).has(String(have)),
  _nin: (have, want) => have !== null && !among(want).has(String(have)),
  _null: (have, want) => (have === null) === (String(want) !== 'false'),
  _nnull: (have, want) => (have !== null) === (String(want) !== 'false'),
  _gt: (have, want) => number(have) > number(want),
  _gte: (have, want) => number(have) >= number(want),
  _lt: (have, want) => number(have) < number(want),
  _lte: (have, want) => number(have) <= number(want),
  _contains: (have, want) => have !== null && String(have).includes(want),
  _starts_with: (have, want) => have !== null && String(have).startsWith(want),
};

const broken = () => new Refusal(500, 'INTERNAL_SERVER_ERROR', 'An unexpected error occurred.');
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const RANGE = { smallint: 2n ** 15n, integer: 2n ** 31n, bigint: 2n ** 63n };

/* What PostgreSQL says of a value that its column cannot hold. */
const fitting = new WeakSet();
function fit(type, operator, value) {
  if (typeof value === 'object' && value !== null) {
    if (fitting.has(value)) return;
    fitting.add(value);
  }
  if ((type in RANGE || type === 'uuid') && /contains|starts_with/.test(operator))
    throw invalid(`"${FIELD_TYPES[type]}" field type does not contain the "${operator}" filter operator`);
  for (const one of /in$/.test(operator) ? list(value) : /null/.test(operator) ? [] : [value]) {
    if (type === 'integer' && Number.isNaN(Number(one))) throw invalid('Invalid numeric value');
    if (type in RANGE && !/^-?\d*$/.test(one)) throw broken();
    if (type in RANGE && (BigInt(one) >= RANGE[type] || BigInt(one) < -RANGE[type])) throw broken();
    if (type === 'uuid' && !UUID.test(one)) throw broken();
  }
}

/* Some strings are not taken for what they are. */
const taken = new WeakMap();
function told(value) {
  if (Array.isArray(value)) {
    if (!taken.has(value)) taken.set(value, value.map(told));
    return taken.get(value);
  }
  return value === 'null' || value === 'NULL' || /^\$(NOW|CURRENT_)/.test(value) ? null : value;
}

/* The rows that a field leads to, and whose they are; undefined where it leads nowhere. */
function related(row, key, collection) {
  for (const { many, field, one, alias } of data.relations) {
    const end = (name, rows) => ({ rows, of: seen(name, '*') });
    if (one === collection.name && alias === key)
      return end(many, data.collections[many].rows.filter((of) => of[field] === row.id));
    if (many === collection.name && field === key)
      return end(one, data.collections[one].rows.filter((of) => of.id === row[field]));
  }
  return undefined;
}

function passes(row, filter, collection) {
  return Object.entries(filter).every(([key, want]) => {
    if (key === '_and') return Object.values(want).every((part) => passes(row, part, collection));
    if (key === '_or') return Object.values(want).some((part) => passes(row, part, collection));
    if (!collection.fields.includes(key)) throw forbidden(`field "${key}" in collection "${collection.name}"`);
    const ways = Object.keys(want).some((name) => !name.startsWith('_')) && related(row, key, collection);
    if (ways) return ways.rows.some((other) => passes(other, want, ways.of));
    const have = row[key] === undefined ? null : row[key];
    return Object.entries(want).every(([operator, value]) => {
      if (!OPERATORS[operator]) {
        const type = FIELD_TYPES[collection.types[key]] || 'string';
        throw invalid(`"${type}" field type does not contain the "${operator}" filter operator`);
      }
      fit(collection.types[key], operator, value);
      return OPERATORS[operator](have, told(value));
    });
  });
}

function filtered(query, { rows, ...collection }) {
  let filter = query.filter;
  if (filter === undefined) return rows;
  if (typeof filter === 'string') {
    try {
      filter = JSON.parse(filter);
    } catch {
      throw invalid('Invalid JSON for filter object');
    }
  }
  if (typeof filter !== 'object') throw invalid(`Invalid filter key "_eq" on "${collection.name}"`);
  return rows.filter((row) => passes(row, filter, collection));
}

function integer(query, name, fallback, least) {
  if (query[name] === undefined) return fallback;
  if (!/^-?\d+$/.test(query[name])) throw invalid(`"${name}" must be a number`);
  if (Number(query[name]) < least) throw invalid(`"${name}" must be greater than or equal to ${least}`);
  if (name === 'limit' && query.limit > LIMIT_MAX) throw invalid(`"limit" must be less than or equal to ${LIMIT_MAX}`);
  return Number(query[name]);
}

/* A count is a string, as PostgreSQL's bigint is there. */
function aggregate(query, rows) {
  if (!Object.keys(query.aggregate).some((name) => name.startsWith('count'))) return rows.map(() => ({}));
  const groups = new Map();
  const by = list(query.groupBy);
  if (by.length === 0) groups.set('', { key: {}, rows });
  for (const row of by.length ? rows : []) {
    const key = Object.fromEntries(by.map((field) => [field, row[field] === undefined ? null : row[field]]));
    const name = JSON.stringify(key);
    if (!groups.has(name)) groups.set(name, { key, rows: [] });
    groups.get(name).rows.push(row);
  }
  return [...groups.values()].map((group) => {
    const counted = list(query.aggregate.count);
    if (counted.length === 0) return group.key;
    if (counted[0] === '*') return { ...group.key, count: String(group.rows.length) };
    const count = Object.fromEntries(
      counted.map((field) => [
        field,
        String(group.rows.filter((row) => row[field] !== null && row[field] !== undefined).length),
      ]),
    );
    return { ...group.key, count };
  });
}

const compare = (a, b) =>
  typeof a === 'number' && typeof b === 'number' ? a - b : String(a) < String(b) ? -1 : Number(a !== b);

const chosen = (fields) => (row) =>
  fields.includes('*')
    ? {
        ...row,
        ...Object.fromEntries(fields.filter((f) => f !== '*').map((f) => [f, row[f] === undefined ? null : row[f]])),
      }
    : Object.fromEntries(fields.map((f) => [f, row[f] === undefined ? null : row[f]]));

/* Without a limit, and with -1 where there is a most, it cuts and does not say so. */
function limitOf(query) {
  const limit = integer(query, 'limit', Math.min(100, LIMIT_MAX), -1);
  return limit === -1 && LIMIT_MAX < Infinity ? LIMIT_MAX : limit;
}

function items(query, collection) {
  const all = collection.rows;
  const rows = filtered(query, collection);
  const limit = limitOf(query);
  const offset = integer(query, 'offset', (integer(query, 'page', 1, 1) - 1) * Math.max(limit, 0), 0);
  const cut = (found) => found.slice(offset, limit === -1 ? undefined : offset + limit);
  if (query.aggregate) return { data: cut(aggregate(query, rows)) };
  const sort = list(query.sort || collection.key);
  const fields = list(query.fields || '*');
  for (const field of [...sort.map((name) => name.replace(/^-/, '')), ...fields])
    if (field !== '*' && !collection.fields.includes(field))
      throw forbidden(`field "${field}" in collection "${collection.name}"`);
  const sorted = [...rows].sort((a, b) => {
    for (const field of sort) {
      const name = field.replace(/^-/, '');
      const order = compare(a[name], b[name]) * (field.startsWith('-') ? -1 : 1);
      if (order !== 0) return order;
    }
    return 0;
  });
  const answer = { data: cut(sorted).map(chosen(fields)) };
  if (collection.singleton) answer.data = sorted.map(chosen(fields))[0] || { [collection.key]: null };
  if (!query.meta) return answer;
  const meta = {};
  for (const name of list(query.meta)) {
    if (name === '*' || name === 'total_count') meta.total_count = all.length;
    if (name === '*' || name === 'filter_count') meta.filter_count = rows.length;
  }
  return { meta, ...answer };
}

function searched(body) {
  let payload;
  try {
    payload = JSON.parse(body);
  } catch (error) {
    throw invalid(error.message, 'PAYLOAD');
  }
  for (const key of Object.keys(payload)) if (key !== 'query') throw invalid(`"${key}" is not allowed`, 'PAYLOAD');
  return payload.query || {};
}

const described = (name) => ({
  collection: name,
  schema: { schema: 'public', name, comment: null },
  meta: { collection: name, hidden: false, singleton: false },
});

/* What the flows are made of: as told, with an id. */
const flows = new Map();
const operations = new Map();

/* "{{$trigger.body.x}}" and "{{$trigger.headers[y]}}" in the values of an object. */
function filled(template, trigger) {
  const value = (path) =>
    path
      .replace(/\]/g, '')
      .split(/[.[]/)
      .reduce((at, key) => (at || {})[key], { $trigger: trigger });
  return Object.fromEntries(
    Object.entries(template).map(([key, text]) => [key, text.replace(/^\{\{(.*)\}\}$/, (_, path) => value(path))]),
  );
}

function run(operation, trigger) {
  const told = operation.options;
  if (operation.type === 'throw-error') throw new Refusal(Number(told.status), told.code, told.message);
  if (!data.collections[told.collection]) throw forbidden(`collection "${told.collection}"`);
  const { rows } = data.collections[told.collection];
  rows.push({ id: rows.length + 1, ...filled(told.payload, trigger) });
  return [rows.length];
}

/* A failure is told to the caller only where the flow says so. */
function triggered(request, id, body) {
  const flow = flows.get(id);
  if (!flow || flow.status !== 'active' || flow.options.method !== request.method) throw hidden();
  try {
    return run(operations.get(flow.operation), { body: JSON.parse(body), headers: request.headers });
  } catch (error) {
    if (flow.options.error_on_reject) throw error;
    return null;
  }
}

function kept(kind, told) {
  const row = { id: crypto.randomUUID(), ...told };
  kind.set(row.id, row);
  return { data: row };
}

/* Whether a permission, as it is written, is anything but "all fields, always". */
const narrowed = ({ fields, permissions, validation, presets }) =>
  !(fields || []).includes('*') || [permissions, validation, presets].some((of) => Object.keys(of || {}).length > 0);

/* What an administrator makes and removes; undefined where that is something else. */
function administered(method, route, name, key, body) {
  const told = () => JSON.parse(body.toString());
  switch (`${method} ${route}`) {
    case 'POST flows':
      return kept(flows, told());
    case 'POST operations':
      return kept(operations, told());
    case 'PATCH flows':
      return { data: Object.assign(flows.get(name), told()) };
    case 'DELETE flows':
      return flows.delete(name) ? { data: null } : undefined;
    case 'POST permissions':
      return { data: { id: 1, ...told() } };
    case 'POST collections':
      if (Object.keys(data.collections).filter((known) => !known.startsWith('directus_')).length >= MOST_COLLECTIONS)
        throw new Refusal(403, 'LIMIT_EXCEEDED', 'collections limit exceeded.', { category: 'collections' });
      data.collections[told().collection] = made([]);
      return { data: described(told().collection) };
    case 'DELETE collections':
      delete data.collections[name];
      return { data: null };
    case 'POST items':
      data.collections[name].rows.push(told());
      return { data: told() };
    case 'DELETE items':
      data.collections[name].rows = data.collections[name].rows.filter(
        (row) => String(row[data.collections[name].key]) !== key,
      );
      return { data: null };
    case 'GET fields':
      return { data: fields() };
  }
  return undefined;
}

function answer(request, url, path, body) {
  const grants = granted(request, url);
  const [, route, name, key] = path.split('/').map(decodeURIComponent);
  if (route === 'server' && name === 'health') {
    if (grants === null) throw hidden();
    return { status: 'ok' };
  }
  if (route === 'flows' && name === 'trigger' && UUID.test(key)) return triggered(request, key, body.toString());
  if (request.method === 'POST' && route === 'permissions' && !LICENSED && narrowed(JSON.parse(body.toString())))
    throw restricted('custom_permission_rules_enabled');
  const done = grants === '*' ? administered(request.method, route, name, key, body) : undefined;
  if (done) return done;
  if (route === 'collections') {
    if (grants !== '*') throw forbidden('collection "directus_collections"');
    if (!name)
      return {
        data: [...Object.keys(data.collections).map(described), { collection: 'a_folder', schema: null, meta: {} }],
      };
    if (!(name in data.collections)) throw hidden();
    return { data: described(name) };
  }
  if (route === 'permissions' && name === 'me') return { data: access(grants) };
  if (route === 'permissions') throw forbidden('collection "directus_permissions"');
  if (route === 'fields') throw unreadable('directus_fields');
  const system = `directus_${route}` in data.collections;
  if (!system && (route !== 'items' || !name))
    throw new Refusal(404, 'ROUTE_NOT_FOUND', `Route ${path} doesn't exist.`, { path });
  if (!system && name.startsWith('directus_')) throw hidden();
  const collection = seen(system ? `directus_${route}` : name, grants);
  if (request.method === 'SEARCH') return items(searched(body.toString()), collection);
  if (key !== undefined) {
    const row = collection.rows.find((candidate) => String(candidate[collection.key]) === key);
    if (!row) throw hidden();
    return { data: row };
  }
  return items(nested(url.searchParams), collection);
}

function handle(request, response, { url, path, body }) {
  if (path === '/server/ping') return text(response, 200, 'pong', { 'content-type': 'text/html; charset=utf-8' });
  try {
    return json(response, 200, answer(request, url, path, body), {
      'x-powered-by': 'Directus',
      'cache-control': 'no-cache',
      ...(path === '/server/health' && { 'content-type': 'application/health+json; charset=utf-8' }),
    });
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return json(response, error.status, { errors: [{ message: error.message, extensions: error.extensions }] });
  }
}

if (options().data) load(JSON.parse(fs.readFileSync(options().data, 'utf8')));
serve(handle, (name, told) => {
  if (name !== 'data') return undefined;
  load(told);
  return { ok: true };
});
