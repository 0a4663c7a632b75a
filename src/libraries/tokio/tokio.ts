import type { Library } from '../library.ts';
import { multiThread, nextId, taskWords } from './recover.ts';

/** The thread's runtime context: which task is running is read from it, without a probe. */
export const tokio: Library = {
  name: 'tokio',
  queries: [
    {
      // CONTEXT::__getit::VAL, CONTEXT::{{constant}}::{{closure}}::VAL, …::__RUST_STD_INTERNAL_VAL, by std version.
      id: 'tokio.context',
      kind: 'tls',
      contains: ['tokio', 'runtime', 'context', 'CONTEXT'],
      pattern: /^tokio::runtime::context::CONTEXT::\S*(?:VAL|__KEY)$/,
      recovery: { kind: 'thread-words', find: taskWords },
    },
    {
      id: 'tokio.multi_thread',
      kind: 'function',
      contains: ['tokio', 'scheduler', 'multi_thread'],
      pattern: /tokio::runtime::scheduler::multi_thread::/,
      recovery: { kind: 'functions', find: multiThread },
    },
    {
      // A static of its own function, which is inlined wherever a task is made.
      id: 'tokio.next_id',
      kind: 'object',
      contains: ['tokio', 'runtime', 'task', 'next', 'NEXT_ID'],
      pattern: /^<?tokio::runtime::task::(?:id::)?Id>?::next::NEXT_ID$/,
      recovery: { kind: 'object', find: nextId },
    },
  ],
  hooks: [],
};
