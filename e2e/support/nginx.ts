import { writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { Child } from './child.ts';
import { foreignProgram } from './foreign.ts';
import type { Scratch } from './scratch.ts';

export interface Proxy extends Disposable {
  readonly base: string;
}

/** nginx in front of a service, with connections that stay on both sides. */
export async function startProxy(scratch: Scratch, to: number): Promise<Proxy> {
  const port = await freePort();
  const file = scratch.file('nginx.conf');
  writeFileSync(file, configuration(scratch, port, to));
  const child = new Child(foreignProgram('nginx'), ['-p', scratch.file('.'), '-e', 'stderr', '-c', file]);
  const base = `http://127.0.0.1:${port}`;
  await answers(base, child);
  return { base, [Symbol.dispose]: () => child.process.kill('SIGTERM') };
}

const TEMPORARY = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];

function configuration(scratch: Scratch, port: number, to: number): string {
  const folders = TEMPORARY.map((name) => `${name}_temp_path ${scratch.file(`nginx-${name}`)};`).join('\n  ');
  return `daemon off;
master_process off;
pid ${scratch.file('nginx.pid')};
events { worker_connections 512; }
http {
  access_log off;
  ${folders}
  keepalive_requests 100000;
  upstream service { server 127.0.0.1:${to}; keepalive 16; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }
}
`;
}

/** Another program may take it before nginx does: then nginx says so and the test fails. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const WAIT_MS = 50;
const TRIES = 200;

async function answers(base: string, child: Child): Promise<void> {
  for (let i = 0; i < TRIES; i++) {
    if (!child.running) throw new Error(`nginx ended: ${child.stderr}`);
    try {
      await (await fetch(`${base}/up`)).text();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    }
  }
  throw new Error(`nginx does not answer: ${child.stderr}`);
}
