import type { Datum, Injection, Plan, ProbeSite, SourceChoice } from './plan.ts';

/** The hook that the running task's place counts as: no probe, read by many. */
export const TASK_SLOT = 'tokio.task_slot';
/** Each of its sites sees other tasks: one that is gone leaves the others as good as they were. */
const INDEPENDENT = 'tokio.task_new';

/** Without one of these hooks nothing of the datum is known, as when the plan is made. */
const NEEDS: Readonly<Record<Datum, readonly string[]>> = {
  'http.server.plaintext': ['hyper.server.parse', 'hyper.server.encode'],
  'http.server.tls': ['hyper.server.parse', 'hyper.server.encode'],
  'http.route': ['axum.set_matched_path', TASK_SLOT],
  'http.client.plaintext': ['hyper.client.call', 'hyper.client.encode', 'hyper.client.parse'],
  'http.client.tls': ['hyper.client.call', 'hyper.client.encode', 'hyper.client.parse'],
  'http.client.call': ['hyper.client.call', 'hyper.client.encode'],
  'http2.server': ['h2.recv_headers', 'h2.send_headers'],
  'http2.client': ['h2.recv_headers', 'h2.send_headers'],
  'rpc.call': ['tonic.call', 'h2.recv_headers', 'h2.send_headers'],
  'tokio.task': [TASK_SLOT],
  'tokio.spawn': [INDEPENDENT, TASK_SLOT],
  panic: ['std.rust_panic'],
};

/** Written into requests of known calls only. */
const INJECTION = 'hyper.client.encoded';

const STREAMS: readonly Datum[] = ['http2.server', 'http2.client'];
const SERVER: readonly Datum[] = ['http.server.plaintext', 'http.server.tls'];
const CLIENT: readonly Datum[] = ['http.client.plaintext', 'http.client.tls'];

/** Which data read a hook, by what its name begins with; the first that fits. */
const READERS: readonly (readonly [prefix: string, data: readonly Datum[]])[] = [
  ['hyper.server.', SERVER],
  ['axum.', ['http.route']],
  ['hyper.client.parse', CLIENT],
  ['hyper.client.', ['http.client.call']],
  ['reqwest.', ['http.client.call']],
  ['h2.take_request', ['http2.server']],
  ['h2.send_request', ['http2.client']],
  ['h2.', STREAMS],
  ['tonic.', ['rpc.call']],
  ['tokio.', ['tokio.spawn']],
  ['std.', ['panic']],
];

/**
 * The plan as if this site, or the task slot, had not been found. Other sites of its hook go with it: a hook that misses
 * some operations is worse than none.
 */
export function withoutSite(plan: Plan, site: ProbeSite | typeof TASK_SLOT, why: string): Plan {
  const hook = site === TASK_SLOT ? TASK_SLOT : site.hook;
  const left = plan.probes.filter((probe) => probe.hook !== hook || (hook === INDEPENDENT && probe !== site));
  const reason = `it was found, and switched off: ${why}`;
  const gone = left.every((probe) => probe.hook !== hook);
  const sources = plan.sources.map((choice) => (gone ? withoutHook(choice, hook, reason) : choice));
  const probes = left.filter((probe) => isRead(probe, sources));
  return {
    ...plan,
    sources,
    probes,
    injection: injectionWithout(plan.injection, hook, sources, reason),
    taskSlot: hook === TASK_SLOT ? undefined : plan.taskSlot,
    routeTable: probes.some(({ hook: one }) => one === 'axum.set_matched_path') ? plan.routeTable : undefined,
    missing: [...plan.missing, { hook, reason }],
  };
}

function withoutHook(choice: SourceChoice, hook: string, reason: string): SourceChoice {
  if (choice.source === 'none' || choice.source === 'socket' || !NEEDS[choice.datum].includes(hook))
    return choice;
  return { datum: choice.datum, source: 'none', reason: `${hook}: ${reason}` };
}

function injectionWithout(
  injection: Injection,
  hook: string,
  sources: readonly SourceChoice[],
  reason: string,
): Injection {
  if (injection.sites.length === 0) return injection;
  if (hook === INJECTION) return { sites: [], missing: reason };
  const spans = sources.find(({ datum }) => datum === 'http.client.tls');
  return spans?.source === 'library' ? injection : { sites: [], missing: spans?.reason ?? reason };
}

function isRead({ hook }: ProbeSite, sources: readonly SourceChoice[]): boolean {
  const [, data] = READERS.find(([prefix]) => hook.startsWith(prefix)) ?? ['', []];
  return sources.some(
    ({ datum, source }) => source !== 'none' && source !== 'socket' && data.includes(datum),
  );
}
