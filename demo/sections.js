/*
 * sections.js FILE...: the sections of Markdown files as a JSON array of
 * {id, document, heading, body}; a section begins at each heading.
 */
'use strict';
const fs = require('fs');
const path = require('path');

const sections = [];
for (const file of process.argv.slice(2)) {
  const document = path.basename(file);
  let section = null;
  let fenced = false;
  for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
    if (line.startsWith('```')) fenced = !fenced; /* a # in a listing is no heading */
    const heading = fenced ? null : /^#{1,6} +(.+)$/.exec(line);
    if (heading || !section) {
      section = { id: sections.length + 1, document, heading: heading ? heading[1] : document, body: '' };
      sections.push(section);
      if (heading) continue;
    }
    section.body += `${line}\n`;
  }
}
process.stdout.write(JSON.stringify(sections.map((section) => ({ ...section, body: section.body.trim() }))));
