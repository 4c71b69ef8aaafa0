/*
 * collection.js
 *	  A collection: its shards, its points in the order of their ids, its vectors,
 *	  its indexes, and how it describes itself.
 *
 * As if its optimizers never ran, points_count goes on counting what an upsert
 * replaced.
 */
'use strict';
const { Float, print, isInteger, isNumber, isObject, toNumber } = require('./json.js');
const { badInput, badRequest, badBody, invalid, untagged, compareIds } = require('./refusal.js');
const { Filter } = require('./filter.js');
const { parsePath, valuesAt } = require('./path.js');

/* A 32-bit floating point number in as few digits as tell it from the next. */
function single(x) {
  const rounded = Math.fround(x);
  const digits = [6, 7, 8, 9].find((n) => Math.fround(Number(rounded.toPrecision(n))) === rounded);
  return new Float(Number(rounded.toPrecision(digits)), 32);
}

const SIZE_MOST = 65536;
function checkVectors(vectors) {
  for (const { size } of 'size' in vectors ? [vectors] : Object.values(vectors)) {
    if (!isInteger(size) || size < 1) throw badBody('data did not match any variant of untagged enum VectorsConfig');
    if (size > SIZE_MOST) throw invalid(`vectors.size: value ${size} invalid, must be from 1 to ${SIZE_MOST}`);
  }
}

class Collection {
  constructor(body) {
    checkVectors(body.vectors || {});
    this.params = {
      vectors: body.vectors || {},
      ...(body.sparse_vectors ? { sparse_vectors: body.sparse_vectors } : {}),
      shard_number: 1,
      ...(body.sharding_method === 'custom' ? { sharding_method: 'custom' } : {}),
      replication_factor: 1,
      write_consistency_factor: 1,
      on_disk_payload: true,
    };
    this.strict = body.strict_mode_config || null;
    this.prevents = (body.optimizers_config || {}).prevent_unoptimized ?? null;
    this.metadata = body.metadata;
    this.indexes = {}; /* printed path -> PayloadIndex */
    this.shards = []; /* keys, if there are any */
    this.points = new Map(); /* place -> {id, shard, payload, vector} */
    this.replaced = 0;
    this.operations = 0;
    this.order = null; /* points by id, until one comes or goes */
  }

  /* ---- shards: an id is of one point in each that has a key ---- */

  /* What a request selects; null: all. */
  selected({ shard_key: wanted }) {
    if (wanted === undefined || wanted === null) return null;
    const keys = [isObject(wanted) ? wanted.target : wanted].flat();
    const unknown = keys.find((key) => !this.shards.includes(key));
    if (unknown !== undefined) throw badRequest(`Shard key ${print(unknown)} not found`);
    return keys;
  }

  /* Where a request writes. */
  written(body) {
    const keys = this.selected(body);
    if (this.params.sharding_method === 'custom' && !keys) throw badInput('Shard key not specified');
    return keys || [undefined];
  }

  addShard(key) {
    if (this.params.sharding_method !== 'custom')
      throw badRequest('Shard Key cannot be created with Auto sharding method');
    if (this.shards.includes(key)) throw badRequest(`Shard key ${print(key)} already exists`);
    this.shards.push(key);
  }

  /* ---- points ---- */

  placeOf(id, shard) {
    return shard === undefined ? String(id) : `${print(shard)} ${id}`;
  }

  inOrder(shards = null) {
    if (!this.order) this.order = [...this.points.values()].sort((a, b) => compareIds(a.id, b.id));
    return shards ? this.order.filter(({ shard }) => shards.includes(shard)) : this.order;
  }

  /* Of an id that is in several shards the last that answers. */
  find(id, shards = null) {
    const keys = this.shards.length === 0 ? [undefined] : shards || this.shards;
    return keys.map((shard) => this.points.get(this.placeOf(id, shard))).findLast(Boolean);
  }

  put(id, payload, vector, shard) {
    const stored = this.vectors(vector);
    if (payload !== undefined && payload !== null && !isObject(payload)) throw badBody('invalid type: expected a map');
    const place = this.placeOf(id, shard);
    const old = this.points.get(place);
    if (old) this.replaced++;
    else this.order = null;
    const point = { id, shard, payload: payload || {}, vector: stored };
    if (old) Object.assign(old, point);
    else this.points.set(place, point);
  }

  remove(id, shard) {
    if (this.points.delete(this.placeOf(id, shard))) this.order = null;
  }

  /*
   * By their names, that of the only one being ''; as they will be given back:
   * 32-bit numbers, of length 1 where the distance is Cosine. A point may lack any.
   */
  vectors(given) {
    const { vectors, sparse_vectors: sparse = {} } = this.params;
    const dense = 'size' in vectors ? { '': vectors } : vectors;
    if (Array.isArray(given)) {
      if (!dense['']) throw badInput('Not existing vector name error: ');
      return { '': this.dense(given, dense['']) };
    }
    if (!isObject(given)) throw untagged('VectorStruct');
    return Object.fromEntries(
      Object.entries(given).map(([name, vector]) => {
        if (dense[name]) return [name, this.dense(vector, dense[name])];
        if (sparse[name])
          return [name, { indices: vector.indices, values: vector.values.map((x) => single(toNumber(x))) }];
        throw badInput(`Not existing vector name error: ${name}`);
      }),
    );
  }

  dense(vector, { size, distance, multivector_config: multi }) {
    if (multi && Array.isArray(vector) && Array.isArray(vector[0]))
      return vector.map((one) => this.dense(one, { size, distance }));
    if (!Array.isArray(vector) || !vector.every(isNumber)) throw untagged('VectorStruct');
    if (vector.length !== size) throw badInput(`Vector dimension error: expected dim: ${size}, got ${vector.length}`);
    const length = distance === 'Cosine' ? Math.hypot(...vector.map(toNumber)) || 1 : 1;
    return vector.map((x) => single(toNumber(x) / length));
  }

  filter(given) {
    return given === undefined || given === null ? null : new Filter(given, this.indexes);
  }

  filtered(filter, shards = null) {
    return filter ? this.inOrder(shards).filter(filter.passes) : this.inOrder(shards);
  }

  approximateCount() {
    return this.points.size + this.replaced;
  }

  /* One node that has everything, in one shard or one for each shard key. */
  cluster() {
    const keys = this.params.sharding_method === 'custom' ? this.shards : [undefined];
    const shard = (key, id) => ({
      shard_id: id,
      ...(key === undefined ? {} : { shard_key: key }),
      points_count: 0,
      state: 'Active',
    });
    return {
      peer_id: 1,
      shard_count: keys.length,
      local_shards: keys.map(shard),
      remote_shards: [],
      shard_transfers: [],
    };
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
          prevent_unoptimized: this.prevents,
        },
        wal_config: { wal_capacity_mb: 32, wal_segments_ahead: 0, wal_retain_closed: 1 },
        quantization_config: null,
        ...(this.strict ? { strict_mode_config: this.strict } : {}),
        ...(this.metadata ? { metadata: this.metadata } : {}),
      },
      payload_schema: Object.fromEntries(
        Object.entries(this.indexes).map(([key, index]) => [
          key,
          { ...index.schema, points: this.indexed(key, index) },
        ]),
      ),
      /* how many points are deferred is told only where the configuration lets points be deferred */
      update_queue: { length: 0, ...(this.prevents ? { deferred_points: 0 } : {}) },
    };
  }

  /* how many points have something under the key that the index holds */
  indexed(key, index) {
    const path = parsePath(key);
    return this.inOrder().filter(({ payload }) => index.kept(valuesAt(payload, path)).length > 0).length;
  }
}

module.exports = { Collection };
