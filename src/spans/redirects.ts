import { type ClientTarget, comparableUrl, rawUrl } from './client-url.ts';
import { text } from './server-attributes.ts';

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Nobody who follows a redirect waits so long. */
const MAX_AGE_NS = 60e9;
const MAX_EXPECTED = 4096;

/** Who makes a request: a task, or a thread where there is none. */
export interface Caller {
  readonly pid: number;
  readonly task: number;
  readonly tid: number;
}

interface Expected {
  readonly resends: number;
  readonly untilNs: number;
}

/**
 * Redirects that their callers may follow. A request counts as one's resend when the same task makes it to exactly
 * the URL it was sent to: a program that fetches that URL itself right afterwards is taken for a client that does.
 */
export class Redirects {
  /** By process, task and URL, oldest first. */
  readonly #expected = new Map<string, Expected>();

  /** `from`: the request that was redirected. */
  note(
    from: Caller & { readonly target: ClientTarget; readonly resends: number },
    status: number,
    location: string,
    timeNs: number,
  ): void {
    if (!REDIRECTS.has(status)) return;
    const url = comparableUrl(text(location), rawUrl(from.target));
    if (url === undefined) return;
    this.#forgetOldest(timeNs);
    const key = keyOf(from, url);
    this.#expected.delete(key);
    this.#expected.set(key, { resends: from.resends + 1, untilNs: timeNs + MAX_AGE_NS });
  }

  /** How often this request has been sent before in another form; 0 for most. */
  resends(caller: Caller & { readonly timeNs: number }, target: ClientTarget): number {
    if (this.#expected.size === 0) return 0;
    const url = comparableUrl(rawUrl(target));
    if (url === undefined) return 0;
    const key = keyOf(caller, url);
    const expected = this.#expected.get(key);
    this.#expected.delete(key);
    return expected && expected.untilNs > caller.timeNs ? expected.resends : 0;
  }

  #forgetOldest(nowNs: number): void {
    for (const [key, { untilNs }] of this.#expected) {
      if (untilNs > nowNs && this.#expected.size < MAX_EXPECTED) return;
      this.#expected.delete(key);
    }
  }
}

/** Code outside any task belongs to its thread. */
const keyOf = ({ pid, task, tid }: Caller, url: string) => `${pid}:${task === 0 ? -tid : task}:${url}`;
