/*
 * pg.js
 *	  What node-postgres makes of a plan (tap/t/120_drivers.pl), as JSON.
 *
 *	  node pg.js PLAN FOLDER    FOLDER/node_modules has the library
 *
 * Reads every relation that the plan names, and calls what it calls, each as its
 * role, with arguments of the types that the plan gives.
 */
'use strict';
const fs = require('fs');
const { Client } = require(`${process.argv[3]}/node_modules/pg`);
const { version } = require(`${process.argv[3]}/node_modules/pg/package.json`);

const plan = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const server = { host: plan.host, port: plan.port, database: plan.database };

const make = (type, value) => {
  if (value === null) return null;
  if (type === 'timestamptz') return new Date(value);
  if (type === 'interval') return `${value} seconds`;
  if (type === 'jsonb') return JSON.stringify(value);
  return value;
};

// node-postgres has infinite times as the numbers Infinity and -Infinity, and NaN as text.
const odd = (value) => Array.isArray(value) ? value.some(odd)
  : (typeof value === 'number' && !Number.isFinite(value)) || value === 'NaN' || value === 'Infinity'
    || value === '-Infinity' || (value instanceof Date && Number.isNaN(value.getTime()));

async function withClient(user, work) {
  const client = new Client({ ...server, user });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function told(work) {
  try {
    return await work();
  } catch (error) {
    return { sqlstate: error.code ?? null, constraint: error.constraint ?? null, detail: error.detail ?? null,
      message: error.message };
  }
}

async function read(client, relation) {
  const { rows, fields } = await client.query({ text: `SELECT * FROM ${relation}`, rowMode: 'array' });
  return { rows: rows.length, columns: fields.length,
    wrong: fields.filter((_, i) => rows.some((row) => odd(row[i]))).map((f) => f.name) };
}

async function call(step) {
  return withClient(step.role, async (client) => {
    const { rows } = await client.query({ text: step.sql, rowMode: 'array',
      values: step.arguments.map(([type, value]) => make(type, value)) });
    return { value: rows[0][0] };
  });
}

async function main() {
  const relations = {};
  const calls = [];
  await withClient('postgres', async (client) => {
    for (const relation of plan.relations) relations[relation] = await told(() => read(client, relation));
  });
  for (const step of plan.calls) calls.push(await told(() => call(step)));
  process.stdout.write(JSON.stringify({ driver: `pg ${version}`, relations, calls }));
}

main();
