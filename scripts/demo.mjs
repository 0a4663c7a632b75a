// npm run demo [-- --seconds N]: builds a small axum shop and the warehouse it calls, traces them, shows their spans,
// cleans up.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { cacheDirectory, root, run } from './setup-cache.mjs';
import { compile, installNodePackages } from './setup-node.mjs';

const seconds = secondsWanted(process.argv.slice(2));
const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stopping.abort());

function secondsWanted(args) {
  const at = args.indexOf('--seconds');
  const value = at < 0 ? 20 : Number(args[at + 1]);
  if (value > 0) return value;
  console.error('demo: --seconds needs a number above 0');
  process.exit(2);
}

const say = (text) => console.error(`demo: ${text}`);

function build() {
  installNodePackages();
  compile();
  const target = join(cacheDirectory, 'demo');
  say(
    'building demo/shop, a small axum shop that calls its warehouse with reqwest, without any telemetry in it',
  );
  run('cargo', ['build', '--locked', '--release'], {
    cwd: join(root, 'demo', 'shop'),
    env: { ...process.env, CARGO_TARGET_DIR: target },
    stdio: ['ignore', 2, 2],
  });
  return join(target, 'release', 'shop');
}

/** Starts the shop; resolves with it and its port. */
async function startShop(executable) {
  const shop = spawn(executable, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  const [line] = await once(createInterface(shop.stdout), 'line');
  return { shop, port: Number(line.split(' ')[1]) };
}

/** Its own process group: Ctrl-C reaches it through us, after the load has stopped. */
function startAgent(executable) {
  const flags = ['run', '--exe', executable, '--exporter', 'console', '--console-format', 'tree'];
  const agent = spawn(process.execPath, [join(root, 'bin', 'otel-rust-agent'), ...flags, '--status', 'on'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  const ended = once(agent, 'exit').finally(() => stopping.abort());
  return { agent, ended };
}

const USERS = ['ada', 'grace', 'linus', 'niklaus'];
const pick = (list) => list[Math.floor(Math.random() * list.length)];

/** One visit to the shop: method, path and body of each request. */
function visit() {
  const user = pick(USERS);
  const product = Math.floor(Math.random() * 6);
  return [
    ['GET', '/products'],
    ['GET', `/products/${product}?currency=EUR`],
    ['POST', `/cart/${user}`, `${product}`],
    ['GET', `/cart/${user}`],
    ...(Math.random() < 0.5 ? [['POST', `/checkout/${user}`]] : []),
    ...(Math.random() < 0.1 ? [['GET', '/favicon.ico']] : []),
  ];
}

const connections = new http.Agent({ keepAlive: true, maxSockets: 4 });

function request(port, traceparent, [method, path, body]) {
  return new Promise((resolve, reject) => {
    const headers = { traceparent };
    const options = { host: '127.0.0.1', port, method, path, headers, agent: connections };
    const message = http.request(options, (response) => response.resume().on('end', resolve));
    message.on('error', reject).end(body);
  });
}

/** As an instrumented browser sends it: the requests of one visit belong to one trace. */
const newTraceparent = () => `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;

/** The agent prints a trace 0.4 s after its last span: a visit's before the next begins. */
const BETWEEN_VISITS_MS = 500;

/** About five requests a second until the time is over. */
async function customers(port, until) {
  while (performance.now() < until && !stopping.signal.aborted) {
    const traceparent = newTraceparent();
    for (const step of visit()) {
      await request(port, traceparent, step);
      await sleep(80, undefined, { signal: stopping.signal });
    }
    await sleep(BETWEEN_VISITS_MS, undefined, { signal: stopping.signal });
  }
}

async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

/** The agent takes about a second to attach; when it can't, it says why and ends. */
const ATTACH_MS = 1_500;

async function main() {
  const executable = build();
  const { shop, port } = await startShop(executable);
  try {
    say(`the shop listens on 127.0.0.1:${port} (pid ${shop.pid}); starting the agent`);
    const { agent, ended } = startAgent(executable);
    const refused = await Promise.race([ended, sleep(ATTACH_MS)]);
    if (refused) return refused[0] ?? 1;
    say(`customers come for ${seconds} s; Ctrl-C ends earlier`);
    await customers(port, performance.now() + seconds * 1000).catch((error) => {
      if (!stopping.signal.aborted) throw error;
    });
    await stop(agent);
    const [code] = await ended;
    say('the shop itself was neither changed nor restarted. Now your own program:');
    say('  sudo bin/otel-rust-agent --exe /path/to/your/program --endpoint http://localhost:4318');
    return code ?? 1;
  } finally {
    connections.destroy();
    await stop(shop);
  }
}

process.exitCode = await main().catch((error) => {
  say(error.message);
  return 1;
});
