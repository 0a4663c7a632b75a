import { ownExporter } from '../libraries/opentelemetry/opentelemetry.ts';
import type { Datum, Plan, ProbeSite, SourceChoice } from '../plan/plan.ts';

/** A plan for a person: what spans will hold, then the sites, the layouts, and what is missing and why. */
export function planText(file: string, plan: Plan, problems: readonly string[]): string {
  const lines = [
    file,
    ...plan.sources.map((choice) => `  ${LABELS[choice.datum]}: ${choiceText(choice)}`),
    ...ownExporterLines(plan),
    ...section('Libraries', libraryLines(plan)),
    ...section(`Probe sites: ${plan.probes.length}`, probeSection(plan.probes)),
    ...section('Under TLS, only with --inject-tls', injectionLines(plan)),
    ...section('Layouts', layoutLines(plan)),
    ...section(
      'Missing',
      plan.missing.map(({ hook, reason }) => `${hook}: ${reason}`),
    ),
    ...problems.map((problem) => `warning: ${problem}`),
  ];
  return `${lines.join('\n')}\n`;
}

function ownExporterLines({ libraries }: Plan): readonly string[] {
  const own = ownExporter(libraries);
  const how = own && `${own.name} ${own.version ?? '(version unknown)'}`;
  return own ? [`  exports spans of its own (${how}): left alone without --trace-instrumented`] : [];
}

/** What a user calls the data of a span. */
export const LABELS: Readonly<Record<Datum, string>> = {
  'http.server.plaintext': 'HTTP/1 server spans',
  'http.server.tls': 'HTTPS server spans',
  'http.route': 'routes',
  'http.client.plaintext': 'HTTP/1 client spans',
  'http.client.tls': 'HTTPS client spans',
  'http.client.call': 'callers of client requests',
  'http2.server': 'HTTP/2 and gRPC server spans',
  'http2.client': 'HTTP/2 and gRPC client spans',
  'rpc.call': 'callers of gRPC calls',
  'tokio.task': 'Tokio tasks',
  'tokio.spawn': 'tasks spawned by tasks',
  panic: 'panics',
};

function choiceText({ source, reason }: SourceChoice): string {
  return source === 'none' ? `no (${reason})` : `yes, ${SOURCES[source]} (${reason})`;
}

const SOURCES = {
  socket: 'from sockets',
  library: 'from probes in the program',
  'tls-slot': 'from thread-local storage',
} as const;

function section(title: string, lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ['', title, ...lines.map((line) => `  ${line}`)];
}

function libraryLines({ libraries, binary }: Plan): readonly string[] {
  const rustc = binary.rustcVersion ?? binary.rustcCommit;
  const names = libraries.map(({ name, version }) => `${name} ${version ?? '(version unknown)'}`);
  return [...names, ...(rustc === undefined ? [] : [`rustc ${rustc}`])];
}

/** Sites of one hook beyond the first few are one line. */
const SHOWN_SITES = 4;

function probeSection(probes: readonly ProbeSite[]): readonly string[] {
  const hooks = [...new Set(probes.map(({ hook }) => hook))];
  return hooks.flatMap((hook) => {
    const sites = probes.filter((probe) => probe.hook === hook);
    const shown = sites.length > SHOWN_SITES + 1 ? sites.slice(0, SHOWN_SITES) : sites;
    const rest = sites.length - shown.length;
    return [
      ...shown.flatMap(probeLines),
      ...(rest > 0 ? [`${hook}  and ${rest} more sites like these`] : []),
    ];
  });
}

function probeLines(probe: ProbeSite): readonly string[] {
  const place = probe.functionOffset === 0 ? '' : ` + 0x${probe.functionOffset.toString(16)}`;
  const file = `file offset 0x${probe.fileOffset.toString(16)}`;
  return [
    `${probe.hook}  0x${probe.svma.toString(16)}  ${probe.instruction}  (${probe.cost})`,
    `  ${probe.functionName}${place}`,
    `  ${probe.evidence}; ${file}; runs ${probe.program}`,
  ];
}

function injectionLines({ injection, sources }: Plan): readonly string[] {
  const calls = sources.some(({ datum, source }) => datum === 'http.client.call' && source !== 'none');
  if (!calls) return [];
  if (injection.missing !== undefined) return [`no trace context can be written (${injection.missing})`];
  return ['writes trace context into the buffer of an encoded request', ...probeSection(injection.sites)];
}

function layoutLines(plan: Plan): readonly string[] {
  const { layout, clientLayout, streamLayout, layoutEvidence, taskSlot, routeTable } = plan;
  const lines: string[] = [];
  if (layout) lines.push(`hyper: ${members(layout)}`, `  ${layoutEvidence.layout}`);
  if (clientLayout)
    lines.push(`hyper's client: ${members(clientLayout)}`, `  ${layoutEvidence.clientLayout}`);
  if (streamLayout) lines.push(`h2: ${members(streamLayout)}`, `  ${layoutEvidence.streamLayout}`);
  if (taskSlot) {
    const tag = taskSlot.tagOffset === undefined ? 'none (0 = no task)' : taskSlot.tagOffset;
    lines.push(
      `Tokio task id: fs ${signed(taskSlot.threadPointerOffset)}, tag ${tag}, id ${taskSlot.idOffset}`,
    );
    lines.push(`  ${taskSlot.evidence}`);
  }
  if (routeTable) {
    const { evidence, ...offsets } = routeTable;
    lines.push(`axum routes: ${members(offsets)}`, `  ${evidence}`);
  }
  return lines;
}

function members(record: object): string {
  return Object.entries(record)
    .map(([name, offset]) => `${name} ${offset ?? 'unknown'}`)
    .join(', ');
}

function signed(value: number): string {
  return `${value < 0 ? '-' : '+'} 0x${Math.abs(value).toString(16)}`;
}
