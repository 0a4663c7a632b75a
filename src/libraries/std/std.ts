import type { Library } from '../library.ts';
import { rustPanic } from './recover.ts';

/**
 * `std::panicking::rust_panic` runs once for each panic that starts to unwind, and for each `resume_unwind`, after
 * the panic hook. It is never inlined (`#[inline(never)]`, `#[rustc_std_internal_symbol]` or
 * `#[no_mangle]`), so its symbol is `rust_panic`, or `__rustc::rust_panic` since Rust 1.87.
 */
export const std: Library = {
  name: 'std',
  queries: [
    {
      id: 'std.rust_panic',
      kind: 'function',
      contains: ['rust_panic'],
      pattern: /^(?:__rustc::|std::panicking::)?rust_panic$/,
      recovery: { kind: 'functions', find: rustPanic },
    },
  ],
  hooks: [
    {
      name: 'std.rust_panic',
      program: 'rust_panic',
      query: 'std.rust_panic',
      arguments: [],
      gives: 'panics as the reason of a failed request',
    },
  ],
};
