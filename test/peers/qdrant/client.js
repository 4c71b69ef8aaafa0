/*
 * client.js
 *	  What Qdrant's own client makes of a server.
 *
 *	  node client.js FOLDER URL PREFIX    FOLDER/node_modules has it (see install);
 *	                                      the key is in QDRANT_API_KEY, if there is one
 *
 * Makes a collection named after PREFIX, fills it, asks, drops it; to stdout a
 * JSON object of what it was told.
 */
'use strict';
const [folder, url, prefix] = process.argv.slice(2);
// The client hands an agent of its own undici to fetch; the fetch of a newer Node.js takes none of an older undici.
const ofClient = require.resolve('@qdrant/js-client-rest', { paths: [folder] });
globalThis.fetch = require(require.resolve('undici', { paths: [ofClient] })).fetch;
const { QdrantClient } = require(`${folder}/node_modules/@qdrant/js-client-rest`);

const name = `${prefix}_client`;
const alias = `${prefix}_client_alias`;
const uuid = '550e8400-e29b-41d4-a716-446655440000';
const berlin = { must: [{ key: 'city', match: { value: 'Berlin' } }] };

/* The status and text of a refusal. */
async function refused(promise) {
  try {
    return await promise;
  } catch (error) {
    return `${error.status} ${error.data && error.data.status ? error.data.status.error : error.message}`;
  }
}

async function ask(client) {
  const said = {};
  said.created = await client.createCollection(name, { vectors: { size: 2, distance: 'Dot' } });
  said.exists = [(await client.collectionExists(name)).exists, (await client.collectionExists(`${name}_not`)).exists];
  said.indexed = (
    await client.createPayloadIndex(name, { field_name: 'city', field_schema: 'keyword', wait: true })
  ).status;
  await client.createPayloadIndex(name, {
    field_name: 'n',
    field_schema: { type: 'integer', lookup: true, range: true },
    wait: true,
  });
  said.upserted = (
    await client.upsert(name, {
      wait: true,
      points: [
        { id: 1, vector: [0.5, 0.25], payload: { city: 'Berlin', n: 3, deep: { a: 1, b: 2 } } },
        { id: uuid.replace(/-/g, ''), vector: [1, 0], payload: { city: ['London', 'Berlin'], n: 1 } },
      ],
    })
  ).status;
  await client.upsert(name, {
    wait: true,
    batch: {
      ids: [2, 3],
      vectors: [
        [0, 1],
        [1, 1],
      ],
      payloads: [{ city: 'Paris', n: 2 }, {}],
    },
  });
  said.count = (await client.count(name, { exact: true })).count;
  said.counted = (await client.count(name, { filter: berlin })).count;
  said.listed = (await client.getCollections()).collections.some((one) => one.name === name);
  const info = await client.getCollection(name);
  said.info = {
    vectors: info.config.params.vectors,
    schema: Object.fromEntries(
      Object.entries(info.payload_schema).map(([key, { data_type: type, points }]) => [key, [type, points]]),
    ),
  };
  said.first = await client.scroll(name, { limit: 3, with_payload: ['deep.a'], with_vector: true });
  said.second = await client.scroll(name, { limit: 3, offset: said.first.next_page_offset, with_payload: false });
  said.ordered = (
    await client.scroll(name, { order_by: { key: 'n', direction: 'desc' }, with_payload: false })
  ).points.map(({ id, order_value: value }) => [id, value]);
  said.retrieved = await client.retrieve(name, { ids: [2, 77], with_payload: true });
  await client.updateCollectionAliases({ actions: [{ create_alias: { collection_name: name, alias_name: alias } }] });
  said.aliases = (await client.getCollectionAliases(name)).aliases;
  said.byAlias = (await client.count(alias)).count;
  said.unordered = await refused(client.scroll(name, { order_by: 'city' }));
  said.offsetAndOrder = await refused(client.scroll(name, { order_by: 'n', offset: 2 }));
  said.zero = await refused(client.scroll(name, { limit: 0 }));
  said.missing = await refused(client.count(`${name}_not`));
  said.again = await refused(client.createCollection(name, { vectors: { size: 2, distance: 'Dot' } }));
  said.dimension = await refused(client.upsert(name, { wait: true, points: [{ id: 9, vector: [1] }] }));
  said.deleted = (await client.delete(name, { wait: true, points: [1] })).status;
  said.left = (await client.count(name)).count;
  return said;
}

(async () => {
  const client = new QdrantClient({ url, apiKey: process.env.QDRANT_API_KEY || undefined, checkCompatibility: false });
  try {
    process.stdout.write(JSON.stringify(await ask(client)));
  } finally {
    await client.deleteCollection(name);
  }
})().catch((error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
});
