import { eventHeader as H } from './layout.ts';

/** `number` fields that were 64 bits: counters and nanoseconds since boot, exact below 2^53 (104 days in ns). */
export interface EventHeader {
  readonly timeNs: number;
  readonly connection: number;
  /** Tokio task id, 0 when none or unknown. */
  readonly task: number;
  readonly pid: number;
  readonly tid: number;
  readonly sequence: number;
}

export function u64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}

export function readHeader(view: DataView, at: number): EventHeader {
  return {
    timeNs: u64(view, at + H.timeNs),
    connection: u64(view, at + H.connection),
    task: u64(view, at + H.task),
    pid: view.getUint32(at + H.tgid, true),
    tid: view.getUint32(at + H.tid, true),
    sequence: view.getUint32(at + H.sequence, true),
  };
}
