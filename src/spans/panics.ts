import type { EventHeader } from '../events/events.ts';

const REMEMBERED = 64;

/** The last panics: the stream whose handler panicked shows only when it is reset or answered, in the same task. */
export class Panics {
  #recent: EventHeader[] = [];

  note(event: EventHeader): void {
    this.#recent.push(event);
    if (this.#recent.length > REMEMBERED) this.#recent.shift();
  }

  /** When the task of this event, or its thread where there is none, has panicked since; 0 when it has not. */
  take({ pid, task, tid, timeNs }: EventHeader, sinceNs: number): number {
    if (this.#recent.length === 0) return 0;
    const at = this.#recent.findIndex(
      (panic) =>
        panic.pid === pid &&
        panic.task === task &&
        (task !== 0 || panic.tid === tid) &&
        panic.timeNs >= sinceNs &&
        panic.timeNs <= timeNs,
    );
    const [found] = at < 0 ? [] : this.#recent.splice(at, 1);
    return found?.timeNs ?? 0;
  }
}
