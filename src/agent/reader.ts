import type { RecordHandler, RingReader } from '../kernel/kernel.ts';
import type { SpanSink } from '../spans/span.ts';

/** Between two looks at the ring: with events, and after a while without. */
const BUSY_MS = 20;
const IDLE_MS = 40;
const IDLE_AFTER_TICKS = 50;
/** Records handled before timers and sockets get their turn. */
const SLICE = 4096;

/**
 * Reads the ring on a timer; the kernel side never wakes the agent. While the exporter's queue is full, events
 * stay in the ring.
 */
export class RingPump implements Disposable {
  readonly #ring: RingReader;
  readonly #sink: SpanSink;
  readonly #handle: RecordHandler;
  #timer: NodeJS.Timeout | NodeJS.Immediate | undefined;
  #quietTicks = 0;
  #stopped = false;

  constructor(ring: RingReader, sink: SpanSink, handle: RecordHandler) {
    this.#ring = ring;
    this.#sink = sink;
    this.#handle = handle;
    this.#tick();
  }

  /** Everything that is in the ring now. */
  drainAll(): void {
    while (this.#ring.drain(this.#handle, SLICE) > 0);
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    clearTimeout(this.#timer as NodeJS.Timeout);
    clearImmediate(this.#timer as NodeJS.Immediate);
  }

  readonly #tick = (): void => {
    if (this.#stopped) return;
    const handled = this.#sink.full() ? 0 : this.#ring.drain(this.#handle, SLICE);
    if (this.#stopped) return;
    if (handled >= SLICE) {
      this.#timer = setImmediate(this.#tick);
      return;
    }
    this.#quietTicks = handled > 0 ? 0 : this.#quietTicks + 1;
    this.#timer = setTimeout(this.#tick, this.#quietTicks > IDLE_AFTER_TICKS ? IDLE_MS : BUSY_MS);
  };
}
