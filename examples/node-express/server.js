// Express behind mini: a page, a line of text, a slow answer, and a clean end.
const express = require('express');
const { name, version } = require('./package.json');

const release = process.env.MINI_RELEASE || process.env.GIT_REV || 'local';
const running = process.env.MINI_PROCESS || process.env.HOSTNAME || 'web';
const line = `${name} ${version}, release ${release}, process ${running}, Node.js ${process.versions.node}\n`;

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${name}</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1.5rem; color: #1d2733; background: #f6f8fa }
  h1 { font-size: 1.8rem; margin: 0 0 1rem } dt { color: #5b6b7b } dd { margin: 0 0 .6rem; font-weight: 600 }
</style>
<h1>${name} is running</h1>
<dl><dt>Version</dt><dd>${version}</dd><dt>Release</dt><dd>${escape(release)}</dd><dt>Process</dt><dd>${escape(running)}</dd>
<dt>Runtime</dt><dd>Node.js ${process.versions.node}, Express</dd></dl>
`;

function escape(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}

const app = express();
app.disable('x-powered-by');

app.get('/', (request, response) => {
  if (request.accepts(['text', 'html']) === 'html') response.type('html').send(page);
  else response.type('text').send(line);
});

// Answers after ?ms= milliseconds (at most a minute): to see requests in flight finish during a deploy.
app.get('/slow', (request, response) => {
  const wait = Math.min(Math.max(Number.parseInt(request.query.ms, 10) || 1000, 0), 60_000);
  setTimeout(() => response.type('text').send(`waited ${wait} ms\n`), wait);
});

app.get('/health', (request, response) => response.type('text').send('ok\n'));

const server = app.listen(process.env.PORT || 5000, '0.0.0.0', (error) => {
  if (error) throw error;
  console.log(`listening on ${server.address().port}`);
});

// New requests go to the next release by now; what is in flight may finish.
process.on('SIGTERM', () => {
  console.log('stopping');
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
