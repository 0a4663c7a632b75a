import type { BinaryFacts, FunctionFact, SymbolQuery } from '../../analysis/facts.ts';
import { type Hook, hasFunction, type Library } from '../library.ts';
import { transactionOf } from './recover.ts';
import {
  clientRequest,
  extractDomain,
  type FutureMethod,
  futureDrop,
  RETRYABLY_SEND_REQUEST,
  SEND_REQUEST,
} from './recover-client.ts';
import { trySend } from './recover-send.ts';

const CLIENT_TRANSACTION = '<hyper::proto::h1::role::Client as hyper::proto::h1::Http1Transaction>';
/** hyper-util's client, and hyper 0.14's. */
const MODULE = '(?:hyper_util::client::legacy|hyper::client)::client';
/** Symbols of the client that are there whatever is inlined: drop glue is called by vtables. */
const FUTURES = ['hyper.client.future', 'hyper.client.retry_future'];
/** Instantiations of a generic client a program may have: one for each connector and body. */
const INSTANCES = 64;

const transaction = (method: 'parse' | 'encode'): SymbolQuery => ({
  id: `hyper.client.${method}`,
  kind: 'function',
  contains: ['hyper', 'Client', 'Http1Transaction', method],
  pattern: new RegExp(`^${CLIENT_TRANSACTION}::${method}$`),
  recovery: { kind: 'functions', find: transactionOf('Client', method) },
  inlinedBeside: FUTURES,
});

/** The drop glue of an async method's future: legacy names end in `{{closure}}`, v0 names in `{closure#0}`. */
const future = (id: string, method: string, recovered: FutureMethod): SymbolQuery => ({
  id,
  kind: 'function',
  contains: ['drop_in_place', 'client', 'Client', method],
  pattern: new RegExp(
    `^core::ptr::drop_in_place(?:::)?<<?${MODULE}::Client<.*>>?::${method}::\\{(?:\\{closure\\}|closure#0)\\}>$`,
  ),
  recovery: { kind: 'functions', find: futureDrop(recovered) },
});

/**
 * HTTP/1 client side of hyper 0.14, and of hyper 1 with hyper-util's legacy client.
 *
 *     fn extract_domain(out rdi, uri: &mut Uri rsi, is_connect: bool edx)    once a call, in the caller's task; the Uri
 *                                                                            is still inside the request
 *     fn Client::request(&self rdi, Request<B> rsi), and <Client as Service>::call, which has it inlined or calls it
 *     fn Sender::try_send(out rdi, &mut self rsi, Request<B> rdx)    to the connection, with all headers
 *     fn encode(out rdi, msg: Encode<RequestLine> rsi, dst: &mut Vec<u8> rdx)
 *     fn parse(out rdi, buf: &mut BytesMut rsi, ctx: ParseContext rdx)
 *     drop of the future of send_request(&mut rdi): once a call, in the caller's task
 *
 * `Client::get` has `request` inlined and no request among its arguments: only extract_domain sees those calls.
 */
export const hyperClient: Library = {
  name: 'hyper',
  queries: [
    {
      id: 'hyper.client.domain',
      kind: 'function',
      contains: ['hyper', 'client', 'extract_domain'],
      pattern: new RegExp(`^${MODULE}::extract_domain$`),
      recovery: { kind: 'functions', find: extractDomain },
      inlinedBeside: FUTURES,
    },
    ...['request', 'call', 'get'].map(
      (method): SymbolQuery => ({
        id: `hyper.client.${method}`,
        kind: 'function',
        contains: ['hyper', 'client', 'Client', method],
        pattern: new RegExp(`^<?&?${MODULE}::Client<.*>>?::${method}$`),
        ...(method === 'request' && { recovery: { kind: 'functions', find: clientRequest } }),
      }),
    ),
    transaction('encode'),
    transaction('parse'),
    {
      id: 'hyper.client.send',
      kind: 'function',
      contains: ['hyper', 'client', 'dispatch', 'Sender', 'try_send'],
      pattern: /^<?hyper::client::dispatch::Sender<.*>>?::try_send$/,
      recovery: { kind: 'functions', find: trySend },
    },
    future('hyper.client.future', 'send_request', SEND_REQUEST),
    future('hyper.client.retry_future', 'retryably_send_request', RETRYABLY_SEND_REQUEST),
  ],
  hooks: [
    {
      name: 'hyper.client.encode',
      program: 'hyper_client_encode',
      query: 'hyper.client.encode',
      arguments: ['rsi'],
      gives: 'which connection carries a call',
    },
    {
      name: 'hyper.client.parse',
      program: 'hyper_client_parse',
      query: 'hyper.client.parse',
      arguments: ['rsi', 'rdx'],
      gives: 'response heads under TLS',
    },
  ],
};

const call = (query: string): Hook => ({
  name: 'hyper.client.call',
  program: 'hyper_client_call',
  query,
  arguments: ['rsi'],
  limit: INSTANCES,
  gives: 'whose request it is',
});

/**
 * Only for calls that share one Uri's text and have no header: reqwest parses a URL for each call and always sends
 * `accept`, so a program with it does without.
 */
export const SEND: Hook = {
  name: 'hyper.client.send',
  program: 'hyper_client_send',
  query: 'hyper.client.send',
  arguments: ['rdx'],
  limit: INSTANCES,
  gives: 'which of several calls of one Uri is sent',
};

const drop = (query: string): Hook => ({
  name: 'hyper.client.drop',
  program: 'hyper_client_drop',
  query,
  arguments: ['rdi'],
  limit: INSTANCES,
  gives: 'calls that end without a response',
});

/** Functions to probe for one hook, all with the pointer of the same kind in the register. */
export interface HookFunctions {
  readonly hook: Hook;
  readonly functions: readonly FunctionFact[];
  /** True where the register points to the Uri inside the request, false where it points to the request. */
  readonly toUri?: boolean;
}

/** hyper-util and hyper 0.14 may both be in one program. */
const GENERATIONS: readonly RegExp[] = [/\bhyper_util::client::legacy::/, /\bhyper::client::client::/];

/** extract_domain where it is a function: one for all clients, whatever calls it. Else (inlined) what calls it. */
export function callFunctions({ functions }: BinaryFacts): readonly HookFunctions[] {
  return GENERATIONS.flatMap((generation): readonly HookFunctions[] => {
    const of = (query: string) => (functions[query] ?? []).filter(({ name }) => generation.test(name));
    const domain = of('hyper.client.domain');
    if (domain.length > 0) return [{ hook: call('hyper.client.domain'), functions: domain, toUri: true }];
    return ['hyper.client.request', 'hyper.client.call']
      .map((query) => ({ hook: call(query), functions: of(query), toUri: false }))
      .filter((one) => one.functions.length > 0);
  });
}

/**
 * The future that lives as long as the call: retryably_send_request in hyper 0.14 (with send_request inside it),
 * send_request in hyper-util (with try_send_request inside it).
 */
export function dropFunctions({ functions }: BinaryFacts): readonly HookFunctions[] {
  return GENERATIONS.flatMap((generation) => {
    const of = (query: string) => (functions[query] ?? []).filter(({ name }) => generation.test(name));
    const query =
      of('hyper.client.retry_future').length > 0 ? 'hyper.client.retry_future' : 'hyper.client.future';
    return of(query).length > 0 ? [{ hook: drop(query), functions: of(query) }] : [];
  });
}

/** Whether any client of hyper is linked. */
export function hasHyperClient(facts: BinaryFacts): boolean {
  if ((facts.recovered.sites['hyper.client.domain'] ?? []).length > 0) return true;
  return hyperClient.queries.some(({ id }) => hasFunction(facts, id));
}
