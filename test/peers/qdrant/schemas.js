/*
 * schemas.js
 *	  JSON Schemas of what goes between the wrapper and Qdrant 1.19, after its
 *	  openapi.json: what the wrapper may send (nothing else, and nothing left to
 *	  a default), and what each answer looks like.
 *
 * schemas(closed): with closed, an answer may hold no member that 1.19 does not
 * have; a server to come may.
 */
'use strict';

const any = {};
const text = { type: 'string' };
const flag = { type: 'boolean' };
const number = { type: 'number' };
const count = { type: 'integer', minimum: 0, maximum: 18446744073709551615 };
const maybe = (schema) => ({ anyOf: [schema, { type: 'null' }] });
const list = (items, rest = {}) => ({ type: 'array', items, ...rest });
const map = (values) => ({ type: 'object', additionalProperties: values });
const words = (...values) => ({ enum: values });
const uuid = { type: 'string', pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' };
const pointId = { anyOf: [count, uuid] };

/* ---- what the wrapper sends ---- */

const exactly = (properties, optional = []) => ({
  type: 'object',
  properties,
  additionalProperties: false,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
});
/* The user's own filter is the user's; what the wrapper adds to it is not. */
const filter = { type: 'object' };
const ids = list(pointId, { minItems: 1, maxItems: 1000, uniqueItems: true });
const withPayload = { anyOf: [flag, list(text, { minItems: 1, uniqueItems: true })] };
const shardKey = { anyOf: [count, text] };
const NAME = '/collections/(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+';
const CONSISTENCY = 'consistency=(?:[1-9][0-9]*|majority|quorum|all)';
const PARAMETERS = `\\?(?:${CONSISTENCY}&)?timeout=[1-9][0-9]*`;
const requests = {
  [`GET /collections`]: null,
  [`GET /aliases`]: null,
  [`GET ${NAME}`]: null,
  [`GET ${NAME}/shards`]: null,
  [`GET ${NAME}/cluster`]: null,
  [`POST ${NAME}/points/count${PARAMETERS}`]: exactly({ exact: { const: true }, filter }, ['filter']),
  [`POST ${NAME}/points/scroll${PARAMETERS}`]: exactly(
    {
      limit: { type: 'integer', minimum: 1, maximum: 10000 },
      offset: pointId,
      with_payload: withPayload,
      with_vector: flag,
      filter,
      shard_key: shardKey,
    },
    ['offset', 'filter', 'shard_key'],
  ),
  [`POST ${NAME}/points${PARAMETERS}`]: exactly(
    { ids, with_payload: withPayload, with_vector: flag, shard_key: shardKey },
    ['shard_key'],
  ),
};

/* ---- what it is answered ---- */

function answers(closed) {
  const shape = (properties, required = Object.keys(properties)) => ({
    type: 'object',
    properties,
    required,
    ...(closed ? { additionalProperties: false } : {}),
  });

  const hardware = map(count);
  const usage = maybe(shape({ hardware: maybe(hardware), inference: any }, []));
  const of = (result) => shape({ result, status: { const: 'ok' }, time: number, usage }, ['result', 'status', 'time']);
  const error = shape({ status: shape({ error: { type: 'string', minLength: 1 } }), time: number, usage }, [
    'status',
    'time',
  ]);

  const distance = words('Cosine', 'Euclid', 'Dot', 'Manhattan');
  const vectorParams = { type: 'object', properties: { size: count, distance }, required: ['size', 'distance'] };
  const indexType = words('keyword', 'integer', 'float', 'geo', 'text', 'bool', 'datetime', 'uuid');
  const info = shape(
    {
      status: words('green', 'yellow', 'grey', 'red'),
      optimizer_status: { anyOf: [{ const: 'ok' }, shape({ error: text })] },
      warnings: list(shape({ message: text })),
      indexed_vectors_count: maybe(count),
      points_count: maybe(count),
      segments_count: count,
      config: shape(
        {
          params: shape(
            {
              vectors: { anyOf: [vectorParams, map(vectorParams)] },
              sparse_vectors: maybe(map({ type: 'object' })),
              shard_number: count,
              sharding_method: any,
              replication_factor: count,
              write_consistency_factor: count,
              read_fan_out_factor: maybe(count),
              read_fan_out_delay_ms: maybe(count),
              on_disk_payload: maybe(flag),
              payload: any,
            },
            [],
          ),
          hnsw_config: { type: 'object', required: ['m', 'ef_construct', 'full_scan_threshold'] },
          optimizer_config: {
            type: 'object',
            required: ['deleted_threshold', 'vacuum_min_vector_number', 'default_segment_number', 'flush_interval_sec'],
          },
          wal_config: maybe({ type: 'object', required: ['wal_capacity_mb', 'wal_segments_ahead'] }),
          quantization_config: any,
          strict_mode_config: maybe(
            shape(
              Object.fromEntries([
                ...['enabled', 'unindexed_filtering_retrieve', 'unindexed_filtering_update', 'search_allow_exact'].map(
                  (name) => [name, maybe(flag)],
                ),
                ...[
                  'max_query_limit',
                  'max_timeout',
                  'search_max_hnsw_ef',
                  'upsert_max_batchsize',
                  'search_max_batchsize',
                  'max_collection_vector_size_bytes',
                  'read_rate_limit',
                  'write_rate_limit',
                  'max_collection_payload_size_bytes',
                  'max_points_count',
                  'filter_max_conditions',
                  'condition_max_size',
                  'max_payload_index_count',
                  'max_resident_memory_percent',
                ].map((name) => [name, maybe(count)]),
                ['search_max_oversampling', maybe(number)],
                ['multivector_config', any],
                ['sparse_config', any],
              ]),
              [],
            ),
          ),
          metadata: maybe({ type: 'object' }),
        },
        ['params', 'hnsw_config', 'optimizer_config'],
      ),
      payload_schema: map(
        shape({ data_type: indexType, params: maybe({ type: 'object' }), points: count }, ['data_type', 'points']),
      ),
      update_queue: maybe(shape({ length: count, deferred_points: maybe(count) }, ['length'])),
    },
    ['status', 'optimizer_status', 'segments_count', 'config', 'payload_schema'],
  );

  const dense = list(number);
  const oneVector = { anyOf: [dense, list(dense), shape({ indices: list(count), values: dense })] };
  const record = shape(
    {
      id: pointId,
      payload: maybe({ type: 'object' }),
      vector: maybe({ anyOf: [dense, list(dense), map(oneVector)] }),
      shard_key: maybe({ anyOf: [text, count] }),
      order_value: maybe({ anyOf: [number, text] }),
    },
    ['id'],
  );
  const replicas = list(
    shape({ shard_id: count, shard_key: any, peer_id: count, points_count: count, state: text }, ['shard_id', 'state']),
  );
  const cluster = shape(
    {
      peer_id: count,
      shard_count: count,
      local_shards: replicas,
      remote_shards: replicas,
      shard_transfers: list(any),
      resharding_operations: any,
    },
    ['peer_id', 'shard_count', 'local_shards', 'remote_shards', 'shard_transfers'],
  );
  const aliases = shape({ aliases: list(shape({ alias_name: text, collection_name: text })) });
  const update = shape({ operation_id: maybe(count), status: words('acknowledged', 'completed', 'wait_timeout') }, [
    'status',
  ]);

  return {
    error,
    routes: {
      'GET /collections': of(shape({ collections: list(shape({ name: text })) })),
      'GET /aliases': of(aliases),
      'POST /collections/aliases': of(flag),
      'GET /collections/[^/]+': of(info),
      '(?:PUT|PATCH|DELETE) /collections/[^/]+': of(flag),
      'GET /collections/[^/]+/exists': of(shape({ exists: flag })),
      'GET /collections/[^/]+/aliases': of(aliases),
      'GET /collections/[^/]+/shards': of(shape({ shard_keys: list(shape({ key: { anyOf: [text, count] } })) }, [])),
      'PUT /collections/[^/]+/shards': of(flag),
      'GET /collections/[^/]+/cluster': of(cluster),
      'PUT /collections/[^/]+/index': of(update),
      'DELETE /collections/[^/]+/index/[^/]+': of(update),
      'PUT /collections/[^/]+/points': of(update),
      'POST /collections/[^/]+/points/delete': of(update),
      'POST /collections/[^/]+/points/count': of(shape({ count })),
      'POST /collections/[^/]+/points/scroll': of(shape({ points: list(record), next_page_offset: maybe(pointId) })),
      'POST /collections/[^/]+/points': of(list(record)),
      'GET /collections/[^/]+/points/[^/]+': of(record),
      'GET /': shape({ title: text, version: text, commit: maybe(text) }, ['title', 'version']),
    },
  };
}

module.exports = { requests, answers };
