import type { Plan, ProbeSite, StreamLayout } from '../../src/plan/plan.ts';

type Change = (plan: Plan) => Plan;

/** Mistakes of the kinds that a recovered site, or a layout of the wrong version, would have. */
const CHANGES: Readonly<Record<string, (...values: string[]) => Change>> = {
  /** `site:<hook>:<other hook>`: what is right for the hook is attached where the other one's function is. */
  site:
    (hook = '', other = '') =>
    (plan) => {
      const place = plan.probes.find((probe) => probe.hook === other);
      if (!place) throw new Error(`The plan has no ${other}`);
      const moved = (probe: ProbeSite): ProbeSite => {
        const { svma, fileOffset, functionName, functionOffset } = place;
        return { ...probe, svma, fileOffset, functionName, functionOffset };
      };
      const wrong = plan.probes
        .filter((probe) => probe.hook === hook)
        .slice(0, 1)
        .map(moved);
      return { ...plan, probes: [...plan.probes.filter((probe) => probe.hook !== hook), ...wrong] };
    },
  /** `register:<hook>:<number>` */
  register:
    (hook = '', number = '') =>
    (plan) => ({
      ...plan,
      probes: plan.probes.map((probe) =>
        probe.hook === hook ? { ...probe, register: Number(number) } : probe,
      ),
    }),
  /** `slot:<bytes>`, as if it were from code. */
  slot:
    (bytes = '') =>
    (plan) => {
      if (!plan.taskSlot) throw new Error('The plan has no task slot');
      const idOffset = plan.taskSlot.idOffset + Number(bytes);
      return { ...plan, taskSlot: { ...plan.taskSlot, idOffset, recovered: true } };
    },
  /** `layout|client|stream|table:<member>:<bytes>` */
  layout:
    (member = '', bytes = '') =>
    (plan) => ({ ...plan, layout: moved(plan.layout, member, bytes) }),
  client:
    (member = '', bytes = '') =>
    (plan) => ({
      ...plan,
      clientLayout: moved(plan.clientLayout, member, bytes),
    }),
  stream:
    (member = '', bytes = '') =>
    (plan) => ({
      ...plan,
      streamLayout: moved<StreamLayout>(plan.streamLayout, member, bytes),
    }),
  table:
    (member = '', bytes = '') =>
    (plan) => ({
      ...plan,
      routeTable: moved(plan.routeTable, member, bytes),
    }),
};

function moved<T extends object>(layout: T | undefined, member: string, bytes: string): T {
  const values: Record<string, unknown> = { ...layout };
  const before = values[member];
  if (!layout || typeof before !== 'number') throw new Error(`The plan has no ${member}`);
  return { ...layout, [member]: before + Number(bytes) };
}

export function changeOf(text: string): Change {
  const [kind = '', ...values] = text.split(':');
  const change = CHANGES[kind];
  if (!change) throw new Error(`No such change: ${text}`);
  return change(...values);
}
