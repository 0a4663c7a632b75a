import { eventCheck as C } from './layout.ts';
import { type EventHeader, readHeader } from './record.ts';

/** A probe or task slot shows what it must not. `wrong`, `odd`, `score`, `unanswered`: see struct site_check. */
export interface CheckEvent extends EventHeader {
  readonly site: number;
  /** One of DOUBT. */
  readonly doubt: number;
  readonly score: number;
  readonly wrong: number;
  readonly odd: number;
  readonly unanswered: number;
  readonly value: bigint;
  /** What was seen, at most CHECK_BYTES; empty when it can't be read. */
  readonly data: Uint8Array;
}

export function readCheck(view: DataView, bytes: Buffer, at: number): CheckEvent {
  const start = at + C.data;
  return {
    ...readHeader(view, at),
    site: view.getUint32(at + C.site, true),
    doubt: view.getUint16(at + C.doubt, true),
    score: view.getUint32(at + C.score, true),
    wrong: view.getUint32(at + C.wrong, true),
    odd: view.getUint32(at + C.odd, true),
    unanswered: view.getUint32(at + C.unanswered, true),
    value: view.getBigUint64(at + C.value, true),
    data: Uint8Array.from(
      bytes.subarray(start, start + Math.min(view.getUint16(at + C.dataSize, true), C.size - C.data)),
    ),
  };
}
