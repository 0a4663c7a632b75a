import type { BinaryFacts } from '../../analysis/facts.ts';
import { agreed } from '../agreed.ts';
import { type LayoutRow, lookUp } from '../layout-table.ts';
import { cratesNamed, type Found, type Library } from '../library.ts';
import { measured } from '../measured.ts';
import layouts from './layouts.json' with { type: 'json' };
import { blockingExecute, execute, timedOut } from './recover.ts';
import { timeoutCalls } from './recover-timeout.ts';

/**
 * reqwest's blocking client, which makes its requests in a thread of its own.
 *
 *     fn blocking::Client::execute(out rdi, &self rsi, Request rdx)        every blocking request, in the caller's thread
 *     fn Client::execute_request(out rdi, &self rsi, Request rdx)          the same request in the client's own thread
 */
export const reqwest: Library = {
  name: 'reqwest',
  queries: [
    {
      id: 'reqwest.blocking_call',
      kind: 'function',
      contains: ['reqwest', 'blocking', 'client', 'execute'],
      pattern: /^<?reqwest::blocking::client::Client>?::execute$/,
      recovery: { kind: 'functions', find: blockingExecute },
    },
    {
      id: 'reqwest.execute',
      kind: 'function',
      contains: ['reqwest', 'async_impl', 'client', 'execute_request'],
      pattern: /^<?reqwest::async_impl::client::Client>?::execute_request$/,
      recovery: { kind: 'functions', find: execute },
    },
    {
      // In a vtable of dyn Error: destructor, size, alignment, Debug::fmt, Display::fmt.
      id: 'reqwest.timed_out',
      kind: 'function',
      contains: ['reqwest', 'error', 'TimedOut', 'fmt', 'Display'],
      pattern: /^<reqwest::error::TimedOut as core::fmt::Display>::fmt$/,
      vtableWord: 4,
      recovery: { kind: 'object', find: timedOut },
    },
    {
      // Sites in it, where the error is made by a function that it calls.
      id: 'reqwest.poll',
      kind: 'function',
      contains: ['reqwest', 'async_impl', 'client', 'PendingRequest', 'poll'],
      pattern: /^<reqwest::async_impl::client::PendingRequest as core::future::future::Future>::poll$/,
      recovery: { kind: 'functions', find: timeoutCalls },
    },
  ],
  hooks: [
    {
      name: 'reqwest.blocking_call',
      program: 'reqwest_blocking_call',
      query: 'reqwest.blocking_call',
      arguments: ['rdx'],
      gives: 'the caller of a blocking request',
    },
    {
      name: 'reqwest.execute',
      program: 'reqwest_execute',
      query: 'reqwest.execute',
      arguments: ['rdx'],
      gives: 'the caller of a blocking request',
    },
  ],
};

/** The futures of a request: bodies and connections have time-outs of their own. */
export const REQUEST_POLL =
  /^<reqwest::async_impl::client::Pending(?:Request)? as core::future::future::Future>::poll$/;

type Row = LayoutRow & { readonly requestUrl: number; readonly blockingRequestUrl: number };

const ROWS: readonly Row[] = layouts.rows;

/** Where both kinds of request have the pointer of their URL's text. */
export function requestUrl(facts: BinaryFacts): Found<number> {
  const versions = cratesNamed(facts, 'reqwest').flatMap(({ version }) => version ?? []);
  const pick = (row: Row) => (row.requestUrl === row.blockingRequestUrl ? row.requestUrl : undefined);
  const found = agreed(
    'reqwest',
    (versions.length > 0 ? versions : [undefined]).map((version) =>
      lookUp({
        library: 'reqwest',
        version,
        rustc: facts.rustc?.version,
        rows: ROWS,
        pick,
        measured: measured(facts, 'reqwest'),
      }),
    ),
  );
  if ('missing' in found) return found;
  if (found.value === undefined)
    return { missing: 'the two kinds of request have their URL at different places' };
  return { value: found.value, evidence: found.evidence };
}
