// Bare hooks in a process, for comparison:
//   node yardstick-hooks.js <pid> <executable> <programs of the agent, by commas>
// Each of the agent's programs is replaced by one that does next to nothing at the same place: bench/yardstick.bpf.c.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { analyze } from '../src/analysis/analyze.ts';
import { openKernel } from '../src/kernel/open-kernel.ts';
import { QUERIES } from '../src/libraries/index.ts';
import { MEMBER_QUERIES } from '../src/libraries/measured.ts';
import { makePlan } from '../src/plan/make-plan.ts';
import type { ProbeSite } from '../src/plan/plan.ts';

const OBJECT = new URL('../../bench/yardstick.bpf.o', import.meta.url);
const TRACEPOINTS = new Map([
  ['socket_received', 'yard_received'],
  ['socket_sent', 'yard_sent'],
]);
/** Those that look at what an argument points to; of the others the argument is elsewhere, or a number. */
const PROBES = new Map([
  ['hyper_server_parse', 'yard_parse'],
  ['hyper_server_encode', 'yard_words'],
  ['axum_set_matched_path', 'yard_words'],
  ['hyper_client_call', 'yard_words'],
  ['hyper_client_encode', 'yard_words'],
  ['h2_send_headers', 'yard_words'],
  ['h2_send_trailers', 'yard_words'],
]);
const PASSED = 'yard_passed';
const DRAIN_MS = 20;
const ignore = () => undefined;
const toUprobe = ({ fileOffset }: ProbeSite) => ({ offset: fileOffset, cookie: 0n });

const [pid = '', executable = '', names = ''] = process.argv.slice(2);
const wanted = names.split(',');
const { facts, readCode } = await analyze(executable, QUERIES, { members: MEMBER_QUERIES });
const { probes, taskSlot } = makePlan({ facts, readCode }, 'auto');

using kernel = openKernel({
  object: readFileSync(OBJECT),
  ringSize: 1 << 23,
  constants: {
    yard_tgid: Number(pid),
    yard_slot: taskSlot ? taskSlot.threadPointerOffset + taskSlot.idOffset : 0,
  },
  programs: [...new Set([...TRACEPOINTS.values(), ...PROBES.values(), PASSED])],
});
for (const name of wanted) {
  const tracepoint = TRACEPOINTS.get(name);
  const sites = probes.filter(({ program }) => program === name);
  if (tracepoint) kernel.attachTracepoint(tracepoint);
  else if (sites.length === 0) throw new Error(`Cannot attach ${name}: the plan has no site for it`);
  else kernel.attachUprobes(PROBES.get(name) ?? PASSED, executable, sites.map(toUprobe));
}
let stopped = false;
process.on('SIGTERM', () => {
  stopped = true;
});
console.log('ready');
while (!stopped) {
  kernel.ring.drain(ignore, Number.POSITIVE_INFINITY);
  await sleep(DRAIN_MS);
}
