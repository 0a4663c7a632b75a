import { type DataImage, readU64 } from '../elf/data-image.ts';
import { type SourceFile, sourceFile } from './source-path.ts';

/** An event of the crate `tracing`, with where it is in the source. */
export interface TraceEvent {
  /** Where code may refer to it: the callsite, and its `Metadata` with every word of it. */
  readonly addresses: readonly number[];
  readonly path: string;
  readonly source: SourceFile | undefined;
  readonly line: number;
}

/** The name that `tracing::event!` gives each event: `concat!("event ", file!(), ":", line!())`. */
const NAME = Buffer.from('event ');
const FORM = /^event (?<path>[\x20-\x7e\x80-\xff]{3,1000}\.rs):(?<line>\d{1,7})$/;
const MAX_NAME = 1024;
const MAX_EVENTS = 1 << 16;
const WORD = 8;
/** `tracing_core::Metadata`: four texts, a level, an optional line, a field set with a `&dyn Callsite`, a kind. */
const METADATA_SIZE = 120;
/** `DefaultCallsite`: a pointer to the metadata, one to the next callsite, two bytes of state. */
const CALLSITE_SIZE = 24;

/**
 * Events whose callsite and metadata point to each other, as `tracing::callsite!` makes them. Where the members are is the
 * compiler's choice, so all words are looked at.
 */
export function traceEvents(image: DataImage): readonly TraceEvent[] {
  const texts = textsOf(image);
  if (texts.size === 0) return [];
  const found: TraceEvent[] = [];
  for (const { svma, view } of image.ranges) {
    const first = (WORD - (svma % WORD)) % WORD;
    for (let at = first; at + 2 * WORD <= view.byteLength && found.length < MAX_EVENTS; at += WORD) {
      const length = view.getUint32(at + WORD, true);
      if (length <= NAME.length || length > MAX_NAME || !texts.has(readU64(view, at))) continue;
      const event = eventAt(image, svma + at, length);
      if (event) found.push(event);
    }
  }
  return found;
}

function textsOf(image: DataImage): ReadonlySet<number> {
  const found = new Set<number>();
  for (const { svma, bytes } of image.ranges)
    for (
      let at = bytes.indexOf(NAME);
      at >= 0 && found.size < MAX_EVENTS;
      at = bytes.indexOf(NAME, at + NAME.length)
    )
      found.add(svma + at);
  return found;
}

/** `slot` has the pointer to the event's name. */
function eventAt(image: DataImage, slot: number, length: number): TraceEvent | undefined {
  const text = image.bytes(image.u64(slot) ?? 0, length)?.toString('latin1') ?? '';
  const { path, line } = FORM.exec(text)?.groups ?? {};
  const pair = path === undefined ? undefined : callsiteAround(image, slot);
  if (path === undefined || !pair) return undefined;
  const words = Array.from({ length: METADATA_SIZE / WORD }, (_, i) => pair.metadata + i * WORD);
  return { addresses: [pair.callsite, ...words], path, source: sourceFile(path), line: Number(line) };
}

/** The callsite to which a word near the name points, and the metadata to which the callsite points. */
function callsiteAround(
  image: DataImage,
  slot: number,
): { readonly callsite: number; readonly metadata: number } | undefined {
  for (let at = slot - METADATA_SIZE + WORD; at < slot + METADATA_SIZE; at += WORD) {
    const callsite = image.u64(at) ?? 0;
    if (callsite % WORD !== 0 || !image.has(callsite)) continue;
    for (let word = callsite; word < callsite + CALLSITE_SIZE; word += WORD) {
      const metadata = image.u64(word) ?? 0;
      const inside = (address: number) => metadata <= address && address < metadata + METADATA_SIZE;
      if (metadata % WORD === 0 && inside(slot) && inside(at)) return { callsite, metadata };
    }
  }
  return undefined;
}
