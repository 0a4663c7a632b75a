import type { Program } from '../../recover/program.ts';
import type { Recogniser, Recognition, RecoveredSite } from '../../recover/recogniser.ts';
import { type NamedUse, namesIn } from '../../recover/spans.ts';
import { parsedHead } from './recover-parsed.ts';
import { writtenHead } from './recover-written.ts';
import {
  type Host,
  hostsOf,
  type Method,
  ownFunction,
  ROLE,
  type Side,
  type Transaction,
  transaction,
} from './transaction.ts';

/** `Http1Transaction::parse` and `encode` of one side, where they are functions of their own, and where they are inlined. */
export const transactionOf =
  (side: Side, method: Method): Recogniser =>
  (program) =>
    recogniseTransaction(program, transaction(side, method));

function recogniseTransaction(program: Program, wanted: Transaction): Recognition {
  const hosts = hostsOf(program, wanted);
  if (hosts.length === 0) return { reason: `no panic location of ${wanted.own} was found` };
  const found = hosts.flatMap((host) => ownFunction(program, host, wanted) ?? []);
  const others = hosts.filter(({ one }) => !found.some(({ svma }) => svma === one.svma));
  const sites = others.flatMap((host) => inlinedSite(program, host, wanted) ?? []);
  if (sites.length === others.length) return { found, sites };
  // A hook that misses some would leave requests without responses.
  return { reason: `${wanted.own} is inlined into ${others.length - sites.length} other functions` };
}

const inlinedSite = (program: Program, host: Host, wanted: Transaction): RecoveredSite | undefined =>
  wanted.method === 'parse' ? parsedHead(program, host, wanted) : writtenHead(program, host, wanted);

/** Any code of `tokio::time::sleep`. */
export const tokioSleep: Recogniser = (program) => {
  const [one] = program.functionsOf('tokio', /^src\/time\/sleep\.rs$/);
  if (!one) return { reason: 'no panic location of tokio::time::sleep was found' };
  return { found: [{ ...one, name: 'tokio::time::sleep', evidence: 'a panic location of time/sleep.rs' }] };
};

/** Any code of `role::Server`. */
export const serverCode: Recogniser = (program) => {
  const isServer = ({ use, name }: NamedUse) =>
    use.location.source?.crate === 'hyper' && /^<Server as Http1Transaction>::|^Server::/.test(name ?? '');
  const one = program.functionsOf('hyper', ROLE).find((each) => namesIn(program, each).some(isServer));
  if (!one) return { reason: 'no panic location of role::Server was found' };
  const name = '<hyper::proto::h1::role::Server>';
  return { found: [{ ...one, name, evidence: 'panic locations of role::Server' }] };
};
