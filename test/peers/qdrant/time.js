/*
 * time.js
 *	  Times as Qdrant reads them in payloads and filters.
 *
 * What has no zone is UTC, wherever the stand-in runs.
 */
'use strict';

const DATE = '(\\d{4})-(\\d\\d)-(\\d\\d)';
const CLOCK = '(\\d\\d):(\\d\\d)(?::(\\d\\d)(?:\\.(\\d{1,9})\\d*)?)?';
const ZONE = '(Z|UTC|[+-]\\d\\d(?::?\\d\\d)?)';
const TIME = new RegExp(`^${DATE}(?:[T ]${CLOCK} ?${ZONE}?)?$`, 'i');

/* Nanoseconds since 1970, as a BigInt; undefined for what is no time. */
function parseTime(text) {
  const found = typeof text === 'string' && TIME.exec(text);
  if (!found) return undefined;
  const [year, month, day, hour = 0, minute = 0, second = 0] = found.slice(1, 7).map((part) => part && Number(part));
  const [fraction = '', zone = 'Z'] = [found[7], found[8]];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day); /* Date.UTC takes year 1 for 1901 */
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || hour > 23 || minute > 59 || second > 60)
    return undefined;
  const [, sign = '+', hours = 0, minutes = 0] = /^([+-])(\d\d):?(\d\d)?$/.exec(zone) || [];
  const offset = (Number(hours) * 60 + Number(minutes || 0)) * (sign === '-' ? -60 : 60);
  const seconds = date.getTime() / 1000 + hour * 3600 + minute * 60 + second - offset;
  return BigInt(seconds) * 1000000000n + BigInt(fraction.padEnd(9, '0'));
}

module.exports = { parseTime };
