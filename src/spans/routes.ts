import type { Route } from '../events/events.ts';
import type { RouteTableLayout } from '../plan/plan.ts';

/** Copies `size` bytes from a process's memory; undefined when they can't be read. */
export type MemoryReader = (address: number, size: number) => Buffer | undefined;

/**
 * How axum marks what is below a nested service: `/{*__private__axum_nest_tail_param}`, before 0.8 without
 * braces (axum/src/routing/mod.rs, NEST_TAIL_PARAM). A template that ends so is no route of its own.
 */
const NEST_TAIL = /\/\{?\*__private__axum_nest_tail_param\}?$/;
const FALLBACK = '__private__axum_fallback';

const MAX_BUCKETS = 1 << 16;
const MAX_TEMPLATE = 4096;
/** A router's table never changes once it serves; one that was read without the id may have been torn down. */
const MAX_TABLES = 4096;

/** Templates of one process's axum routers, read from its memory once a router. */
export class RouteTemplates {
  readonly #read: MemoryReader;
  readonly #layout: RouteTableLayout;
  readonly #tables = new Map<number, ReadonlyMap<number, string>>();

  constructor(read: MemoryReader, layout: RouteTableLayout) {
    this.#read = read;
    this.#layout = layout;
  }

  /**
   * The request's `http.route`: the templates it passed, outermost router first, joined as axum's MatchedPath
   * joins them. undefined when it matched none, or when one of them can't be read.
   */
  resolve(routes: readonly Route[]): string | undefined {
    let matched: string | undefined;
    for (const { table, id } of routes) {
      const template = this.#template(table, id);
      if (template === undefined) return undefined;
      matched = matched === undefined ? template : matched.replace(NEST_TAIL, '') + template;
    }
    if (matched === undefined || NEST_TAIL.test(matched) || matched.includes(FALLBACK)) return undefined;
    return matched;
  }

  #template(table: number, id: number): string | undefined {
    const known = this.#tables.get(table)?.get(id);
    if (known !== undefined) return known;
    const templates = this.#readTable(table);
    if (!templates) return undefined;
    if (this.#tables.size >= MAX_TABLES) this.#tables.clear();
    this.#tables.set(table, templates);
    return templates.get(id);
  }

  /**
   * A hashbrown table: control bytes, one a bucket, top bit clear where the bucket is full; buckets lie below
   * the control bytes, last one first (hashbrown src/raw/mod.rs, "bucket").
   */
  #readTable(address: number): ReadonlyMap<number, string> | undefined {
    const l = this.#layout;
    const header = this.#read(address, Math.max(l.controlPointer, l.bucketMask) + 8);
    if (!header) return undefined;
    const control = Number(header.readBigUInt64LE(l.controlPointer));
    const buckets = Number(header.readBigUInt64LE(l.bucketMask)) + 1;
    if (buckets > MAX_BUCKETS || (buckets & (buckets - 1)) !== 0) return undefined;
    const dataSize = buckets * l.bucketSize;
    const memory = this.#read(control - dataSize, dataSize + buckets);
    if (!memory) return undefined;
    const templates = new Map<number, string>();
    for (let i = 0; i < buckets; i++) {
      if ((memory.readUInt8(dataSize + i) & 0x80) !== 0) continue;
      const bucket = dataSize - (i + 1) * l.bucketSize;
      const template = this.#readTemplate(memory, bucket);
      if (template === undefined) return undefined;
      templates.set(memory.readUInt32LE(bucket + l.routeId), template);
    }
    return templates;
  }

  /** A template begins with a slash and is short UTF-8; anything else means that the layout is not this one. */
  #readTemplate(memory: Buffer, bucket: number): string | undefined {
    const pointer = Number(memory.readBigUInt64LE(bucket + this.#layout.templatePointer));
    const length = Number(memory.readBigUInt64LE(bucket + this.#layout.templateLength));
    if (length < 1 || length > MAX_TEMPLATE) return undefined;
    const bytes = this.#read(pointer + this.#layout.arcHeader, length);
    const text = bytes?.toString('utf8');
    return text?.startsWith('/') && !text.includes('\ufffd') ? text : undefined;
  }
}
