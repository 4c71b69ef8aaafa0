/*
 * check.js
 *	  Whether traffic with Qdrant is of the shape that schemas.js says.
 *
 *	  node check.js FOLDER [--closed]    FOLDER/node_modules has ajv (see install)
 *
 * From stdin [{"method", "path", "query", "headers", "body", "answer": {"status",
 * "headers", "body"}, "by": "wrapper" or else}, ...]; to stdout a JSON list of
 * what is wrong. Requests are judged where the wrapper made them, answers always.
 */
'use strict';
const fs = require('fs');
const Ajv = require(`${process.argv[2]}/node_modules/ajv`);
const { requests, answers } = require('./schemas.js');

const ajv = new Ajv({ allErrors: true, strict: true, strictRequired: false, allowUnionTypes: true });
const compiled = (schemas) =>
  Object.entries(schemas).map(([route, schema]) => ({
    route: new RegExp(`^${route}$`),
    validate: schema === null ? null : ajv.compile(schema),
  }));
const { error, routes } = answers(process.argv.includes('--closed'));
const asked = compiled(requests);
const told = compiled(routes);
const isError = ajv.compile(error);
const why = (validate) => ajv.errorsText(validate.errors, { dataVar: '' });

function json(source) {
  try {
    return { value: JSON.parse(source) };
  } catch (problem) {
    return { problem: problem.message };
  }
}

function requestProblem({ method, path, query, headers, body }) {
  const known = asked.find(({ route }) => route.test(`${method} ${path}${query}`));
  if (!known) return 'is nothing that the wrapper asks';
  if (!known.validate) return body === '' ? null : 'has a body';
  if (headers['content-type'] !== 'application/json') return `has content-type ${headers['content-type']}`;
  const { value, problem } = json(body);
  if (problem) return `is no JSON: ${problem}`;
  return known.validate(value) ? null : why(known.validate);
}

/* Refused before any handler saw it: plain text, or nothing at all. */
const PLAIN = {
  401: /^(Must provide an API key or an Authorization bearer token|Invalid API key or JWT)$/,
  403: /^(ExpiredSignature|InvalidSignature)$/,
  404: /^$/,
  405: /^$/,
};

function answerProblem({ method, path, answer }) {
  if (PLAIN[answer.status] && PLAIN[answer.status].test(answer.body)) return null;
  if (!/^application\/json/.test(answer.headers['content-type']))
    return `has content-type ${answer.headers['content-type']}`;
  const { value, problem } = json(answer.body);
  if (problem) return `is no JSON: ${problem}`;
  if (answer.status !== 200) return isError(value) ? null : why(isError);
  const known = told.find(({ route }) => route.test(`${method} ${path.replace(/(.)\/+$/, '$1')}`));
  if (!known) return 'is to a request that no schema knows';
  return known.validate(value) ? null : why(known.validate);
}

const problems = [];
for (const one of JSON.parse(fs.readFileSync(0, 'utf8'))) {
  const name = `${one.method} ${one.path}${one.query}`;
  const request = one.by === 'wrapper' ? requestProblem(one) : null;
  if (request) problems.push(`${name} ${one.body}: ${request}`);
  const answer = one.answer ? answerProblem(one) : null;
  if (answer) problems.push(`${name}: the answer ${one.answer.status} ${one.answer.body.slice(0, 300)}: ${answer}`);
}
process.stdout.write(JSON.stringify(problems));
