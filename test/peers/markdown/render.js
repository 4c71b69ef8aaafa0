// Renders the Markdown on its standard input by two libraries, HTML and links
// allowed as a careless site would: a JSON object of both results.
const { createRequire } = require('module');
const need = createRequire(process.argv[2] + '/');
const text = require('fs').readFileSync(0, 'utf8');
const MarkdownIt = need('markdown-it');
const { marked } = need('marked');

process.stdout.write(JSON.stringify({
	'markdown-it': new MarkdownIt({ html: true, linkify: true }).render(text),
	marked: marked.parse(text, { gfm: true }),
}));
