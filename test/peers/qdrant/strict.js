/*
 * strict.js
 *	  Strict mode: what a collection refuses that is told to.
 */
'use strict';
const { Refusal, badRequest } = require('./refusal.js');

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
  if (cost > most)
    throw new Refusal(
      429,
      'Rate limiting exceeded: Read rate limit exceeded, request larger than rate limiter capacity, ' +
        'please try to split your request',
    );
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

function checkFilter(strict, { conditions, largest, unindexed }) {
  if (strict.unindexed_filtering_retrieve === false && unindexed)
    throw badRequest(
      `Index required but not found for "${unindexed.key}" of one of the following types: ` +
        `[${unindexed.types.join(', ')}]. Help: Create an index for this key or use a different filter.`,
    );
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
}

/* A read: its filter, its limit, whether it is exact, its timeout, and how many tokens of the rate it costs. */
function strictly(collection, { filter, limit: asked, exact, timeout, cost }) {
  const { strict } = collection;
  if (!strict || !strict.enabled) return;
  limit(timeout, strict.max_timeout, 'timeout');
  limit(asked, strict.max_query_limit, 'limit');
  if (filter) checkFilter(strict, filter);
  if (exact && strict.search_allow_exact === false) throw badRequest('Exact search disabled!. Help: Set exact=false.');
  rate(collection, cost === undefined ? 1 + (filter ? filter.conditions : 0) : cost);
}

module.exports = { strictly };
