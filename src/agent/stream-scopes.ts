import type { Scope } from '../spans/span.ts';
import type { StreamContext } from '../spans/stream-spans.ts';
import type { Program } from './programs.ts';

const RPC = ['tonic', 'h2'];
const STREAMS = ['h2'];

type StreamScopes = Pick<StreamContext, 'rpcScope' | 'streamScope'>;

const known = new WeakMap<Program, StreamScopes>();

/** Instrumentation scopes of HTTP/2 streams; the same objects for all processes of a program. */
export function streamScopes(program: Program): StreamScopes {
  let scopes = known.get(program);
  if (!scopes) {
    scopes = { rpcScope: firstOf(RPC, program), streamScope: firstOf(STREAMS, program) };
    known.set(program, scopes);
  }
  return scopes;
}

function firstOf(names: readonly string[], { plan, scope }: Program): Scope {
  for (const name of names) {
    const library = plan.libraries.find((candidate) => candidate.name === name);
    if (library) return { name, version: library.version };
  }
  return scope;
}
