import type { StatusMode } from './options.ts';
import { renderStatus, type StatusSnapshot } from './status.ts';

/** What is needed of process.stderr and process.stdout. */
export interface StatusStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface StatusLineOptions {
  readonly mode: StatusMode;
  readonly stream: StatusStream;
  readonly read: () => StatusSnapshot;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const TERMINAL_PERIOD_MS = 1000;
/** Ticks of one second between plain lines that nothing new calls for. */
const PLAIN_PERIOD_TICKS = 10;
const ERASE_LINE = '\r\x1b[2K';

/**
 * On a terminal one line at the bottom, rewritten each second; elsewhere plain lines: each 10 s, and as soon as
 * a loss counter changes. In mode `auto` an idle agent repeats no plain line. Whatever else goes to the
 * terminal must go through `print`, or it would land on the line.
 */
export class StatusLine implements Disposable {
  readonly #options: StatusLineOptions;
  readonly #terminal: boolean;
  readonly #colour: boolean;
  #timer: NodeJS.Timeout | undefined;
  /** The line now on the terminal; empty when there is none. */
  #shown = '';
  #ticks = 0;
  #lastPlain = '';
  #lastLosses = '';

  constructor(options: StatusLineOptions) {
    const { mode, stream, environment } = options;
    this.#options = options;
    this.#terminal = mode !== 'off' && stream.isTTY === true && environment.TERM !== 'dumb';
    this.#colour = this.#terminal && !environment.NO_COLOR;
  }

  start(): void {
    if (this.#options.mode === 'off' || this.#timer) return;
    this.#timer = setInterval(() => this.tick(), TERMINAL_PERIOD_MS).unref();
    this.tick();
  }

  /** One second has passed. */
  tick(): void {
    if (this.#terminal) this.#redraw();
    else this.#plainLine();
  }

  /** Writes whole lines to `stream` above the status line. */
  print(text: string, stream: StatusStream = this.#options.stream): void {
    const inTheWay = this.#shown !== '' && stream.isTTY === true;
    if (inTheWay) this.#options.stream.write(ERASE_LINE);
    stream.write(text);
    if (inTheWay) this.#options.stream.write(this.#shown);
  }

  /** Leaves the last state on the screen as an ordinary line. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#shown === '') return;
    this.#redraw();
    this.#options.stream.write('\n');
    this.#shown = '';
  }

  #redraw(): void {
    const { stream, read } = this.#options;
    // Room for the `^C` that the terminal echoes, which would wrap to a line that nothing erases.
    this.#shown = renderStatus(read(), (stream.columns ?? 80) - 3, this.#colour);
    stream.write(ERASE_LINE + this.#shown);
  }

  #plainLine(): void {
    const { stream, read, mode } = this.#options;
    const snapshot = read();
    const losses = JSON.stringify(snapshot.losses.filter((loss) => loss.count > 0));
    const due = this.#ticks++ % PLAIN_PERIOD_TICKS === 0;
    const lossChanged = this.#lastLosses !== '' && losses !== this.#lastLosses;
    this.#lastLosses = losses;
    if (!due && !lossChanged) return;
    const line = renderStatus(snapshot, Number.POSITIVE_INFINITY, false);
    if (mode === 'auto' && line === this.#lastPlain) return;
    this.#lastPlain = line;
    stream.write(`status: ${line}\n`);
  }
}
