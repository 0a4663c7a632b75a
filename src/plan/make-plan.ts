import type { BinaryFacts, CodeReader } from '../analysis/facts.ts';
import { UserError } from '../base/errors.ts';
import { routeTable } from '../libraries/axum/axum.ts';
import { hyperLayout } from '../libraries/hyper/hyper.ts';
import { crateList, HOOKS, recognise } from '../libraries/index.ts';
import { type Found, hasCrate, hasFunction, hasSymbols } from '../libraries/library.ts';
import { mayServe } from '../libraries/network.ts';
import { type TlsEvidence, tlsServers } from '../libraries/tls/tls.ts';
import { taskSlot } from '../libraries/tokio/task-slot.ts';
import type {
  BinaryLayout,
  MissingHook,
  Plan,
  RouteTableLayout,
  SourceChoice,
  TaskSlot,
  Tier,
} from './plan.ts';
import { type HookSites, hookSites } from './probes.ts';

export interface PlanInput {
  readonly facts: BinaryFacts;
  readonly readCode: CodeReader;
}

/**
 * What to do with one binary. Pure: the kernel's abilities are looked at later. Throws a UserError for what is no
 * Rust program and for one that surely serves nothing.
 */
export function makePlan({ facts, readCode }: PlanInput, tier: Tier): Plan {
  checkTraceable(facts);
  const parts = collectParts(facts, readCode);
  const sources = chooseSources(parts, facts, tier);
  const fromLibrary = sources.some(
    ({ datum, source }) => datum.startsWith('http.server') && source === 'library',
  );
  const fromAxum = sources.some(({ datum, source }) => datum === 'http.route' && source === 'library');
  return {
    formatVersion: 1,
    binary: {
      buildId: facts.buildId,
      fileSize: facts.fileSize,
      rustcVersion: facts.rustc?.version,
      rustcCommit: facts.rustc?.commit,
    },
    libraries: recognise(facts),
    sources,
    probes: [
      ...(fromLibrary ? [...parts.parse.probes, ...parts.encode.probes] : []),
      ...(fromAxum ? parts.route.probes : []),
      ...parts.panic.probes,
    ],
    layout: fromLibrary ? known(parts.layout) : undefined,
    clientLayout: undefined,
    taskSlot: known(parts.slot),
    routeTable: fromAxum ? withEvidence(parts.table) : undefined,
    missing: missingHooks(parts, facts, tier),
  };
}

function checkTraceable(facts: BinaryFacts): void {
  if (!facts.isRust) throw new UserError('Cannot plan probes: not a Rust program');
  if (mayServe(facts)) return;
  const held =
    facts.crates.length > 0 ? `it holds only ${crateList(facts.crates)}` : 'it holds no crates at all';
  throw new UserError(
    `Cannot plan probes: a Rust program without any library we know and without a network listener; ${held}`,
  );
}

/** Everything that was looked for, found or not, before the tier decides what is used. */
interface Parts {
  readonly parse: HookSites;
  readonly encode: HookSites;
  readonly route: HookSites;
  readonly panic: HookSites;
  readonly layout: Found<BinaryLayout>;
  readonly table: Found<Omit<RouteTableLayout, 'evidence'>>;
  readonly slot: Found<TaskSlot>;
  readonly tls: readonly TlsEvidence[];
}

function collectParts(facts: BinaryFacts, readCode: CodeReader): Parts {
  const sitesOf = (name: string): HookSites => {
    const found = HOOKS.filter((hook) => hook.name === name).map((hook) => hookSites(hook, facts, readCode));
    return {
      probes: found.flatMap(({ probes }) => probes),
      missing: found.flatMap(({ missing }) => missing),
    };
  };
  return {
    parse: sitesOf('hyper.server.parse'),
    encode: sitesOf('hyper.server.encode'),
    route: sitesOf('axum.set_matched_path'),
    panic: sitesOf('std.rust_panic'),
    layout: hyperLayout(facts),
    table: routeTable(facts),
    slot: taskSlot(facts),
    tls: tlsServers(facts),
  };
}

function chooseSources(parts: Parts, facts: BinaryFacts, tier: Tier): readonly SourceChoice[] {
  return [
    plaintextSource(parts, facts, tier),
    tlsSource(parts, facts, tier),
    routeSource(parts, facts),
    taskSource(parts),
    panicSource(parts),
  ];
}

/** Why hyper's hooks can't be used, or undefined when all is there. */
function hyperProblem(parts: Parts, facts: BinaryFacts): string | undefined {
  const lacking = [...parts.parse.missing, ...parts.encode.missing];
  if (parts.parse.probes.length === 0 || parts.encode.probes.length === 0) {
    if (!hasCrate(facts, 'hyper') && !hasFunction(facts, 'hyper.server.parse'))
      return 'hyper was not found in it';
    return `${lacking.map(({ hook }) => hook).join(' and ')} not found: ${lacking[0]?.reason ?? 'no site'}`;
  }
  if (lacking[0]) return lacking[0].reason;
  return 'missing' in parts.layout ? parts.layout.missing : undefined;
}

function plaintextSource(parts: Parts, facts: BinaryFacts, tier: Tier): SourceChoice {
  const datum = 'http.server.plaintext';
  if (tier !== 'library')
    return {
      datum,
      source: 'socket',
      reason: 'read from the sockets, as for any HTTP/1 server: no probe needed',
    };
  const problem = hyperProblem(parts, facts);
  if (problem) return { datum, source: 'none', reason: `the library tier was asked for, but ${problem}` };
  return { datum, source: 'library', reason: "the library tier was asked for: hyper's parse and encode" };
}

function tlsSource(parts: Parts, facts: BinaryFacts, tier: Tier): SourceChoice {
  const datum = 'http.server.tls';
  const none = (reason: string): SourceChoice => ({ datum, source: 'none', reason });
  if (tier === 'socket') return none('the socket tier was asked for, and it sees only encrypted bytes');
  const names = parts.tls.map(({ name }) => name).join(' and ');
  const problem = hyperProblem(parts, facts);
  if (names === '' && hasSymbols(facts)) return none('no TLS server library is linked');
  if (names === '')
    return none(`stripped: whether it serves TLS is not known, and ${problem ?? 'no symbols tell'}`);
  if (problem) return none(`${names} is linked, but ${problem}`);
  return {
    datum,
    source: 'library',
    reason: `${names} is linked as a server, and hyper's parse and encode lie above it`,
  };
}

function routeSource(parts: Parts, facts: BinaryFacts): SourceChoice {
  const datum = 'http.route';
  const none = (reason: string): SourceChoice => ({ datum, source: 'none', reason });
  if (!usesAxum(facts)) return none('no web framework whose routes can be read (axum) was found');
  if (parts.route.probes.length === 0) return none(parts.route.missing[0]?.reason ?? 'no site');
  if ('missing' in parts.table) return none(parts.table.missing);
  if ('missing' in parts.slot) return none(`a route belongs to a Tokio task, and ${parts.slot.missing}`);
  return { datum, source: 'library', reason: "axum's own template, from set_matched_path_for_request" };
}

const usesAxum = (facts: BinaryFacts): boolean =>
  hasCrate(facts, 'axum') || hasFunction(facts, 'axum.set_matched_path');

function taskSource({ slot }: Parts): SourceChoice {
  const datum = 'tokio.task';
  if ('missing' in slot) return { datum, source: 'none', reason: slot.missing };
  return {
    datum,
    source: 'tls-slot',
    reason: `Tokio ${slot.value.tokioVersion} keeps the running task in its CONTEXT`,
  };
}

function panicSource({ panic }: Parts): SourceChoice {
  const datum = 'panic';
  if (panic.probes.length === 0)
    return { datum, source: 'none', reason: panic.missing[0]?.reason ?? 'no site' };
  return { datum, source: 'library', reason: "std's rust_panic" };
}

/** Only what this program would have needed: no hyper hooks where nothing reads from them. */
function missingHooks(parts: Parts, facts: BinaryFacts, tier: Tier): readonly MissingHook[] {
  const hyperLinked = hasCrate(facts, 'hyper') || parts.parse.probes.length + parts.encode.probes.length > 0;
  const wantsHyper = tier === 'library' || (tier === 'auto' && (parts.tls.length > 0 || hyperLinked));
  const layout =
    'missing' in parts.layout && hyperLinked ? [{ hook: 'hyper.layout', reason: parts.layout.missing }] : [];
  const table = 'missing' in parts.table ? [{ hook: 'axum.route_table', reason: parts.table.missing }] : [];
  const slot = 'missing' in parts.slot ? [{ hook: 'tokio.task_slot', reason: parts.slot.missing }] : [];
  return [
    ...(wantsHyper ? [...parts.parse.missing, ...parts.encode.missing, ...layout] : []),
    ...(usesAxum(facts) ? [...parts.route.missing, ...table] : []),
    ...(hasCrate(facts, 'tokio') || usesAxum(facts) ? slot : []),
    ...parts.panic.missing,
  ];
}

const known = <T>(found: Found<T>): T | undefined => ('missing' in found ? undefined : found.value);

function withEvidence(found: Found<Omit<RouteTableLayout, 'evidence'>>): RouteTableLayout | undefined {
  return 'missing' in found ? undefined : { ...found.value, evidence: found.evidence };
}
