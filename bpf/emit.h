// Scratch buffers, sampling and the records.
#pragma once

static __always_inline struct scratch *scratch_take(void) {
  __u32 first = bpf_get_smp_processor_id() * 4;
  for (__u32 i = 0; i < 4; i++) {
    __u32 slot = (first + i) & (scratch_slots - 1);
    struct scratch *s = bpf_map_lookup_elem(&scratches, &slot);
    if (s && __sync_lock_test_and_set(&s->busy, 1) == 0) return s;
  }
  count(COUNTER_SCRATCH_BUSY);
  return 0;
}

static __always_inline void scratch_give(struct scratch *s) { s->busy = 0; }

static __always_inline void submit(void *record, __u64 size) {
  if (bpf_ringbuf_output(&ring, record, size, BPF_RB_NO_WAKEUP)) count(COUNTER_RING_FULL);
}

static __always_inline void emit_process(__u16 kind, __u64 task, __u16 flags) {
  struct event_process e = {};
  fill_header(&e.header, kind, bpf_ktime_get_ns());
  e.header.flags = flags;
  e.header.task = task;
  submit(&e, sizeof e);
}

// What a task inherits from the one that made it matters to a caller, whose request is its call's parent, and to the
// route of a stream.
static __always_inline void needs_tasks(struct target *target) {
  __u32 before = __sync_fetch_and_add(&target->inheriting, 1);
  if (target->flags & TARGET_WATCH_CALLS && !(before & 255)) emit_process(EVENT_NEEDED, 0, FLAG_TASKS);
}

#define ROTATE(x, n) ((x) << (n) | (x) >> (64 - (n)))

static __always_inline __u64 kernel_random(void) { return (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32(); }

// xoroshiro128++ of Blackman and Vigna (https://prng.di.unimi.it), from a state that the kernel has drawn: a span needs six
// words, and the kernel's own function gives one a call.
static __always_inline __u64 random_word(struct scratch *s) {
  __u64 a = s->random[0], b = s->random[1];
  if (!(a | b)) {
    a = kernel_random();
    b = kernel_random();
  }
  __u64 sum = a + b, mix = a ^ b;
  s->random[0] = ROTATE(a, 49) ^ mix ^ mix << 21;
  s->random[1] = ROTATE(mix, 28);
  return ROTATE(sum, 17) + a;
}

static __always_inline void random_words(struct scratch *s, void *out, int words) {
  for (int i = 0; i < words; i++) ((__u64 *)out)[i] = random_word(s);
}

static __always_inline int sample(__u32 how, const __u8 *trace_id) {
  if (how != SAMPLER_RATIO) return how == SAMPLER_ON;
  __u64 low;
  __builtin_memcpy(&low, trace_id + 8, 8);
  return (__builtin_bswap64(low) & 0x7fffffffffffffffULL) < sampler_ratio;
}

// Of a request, from its head: `ids` are trace, span and parent id, next to each other. 0 when the sampler leaves it
// out.
static __always_inline int start_trace(struct scratch *s, struct event_header *header, __u8 *ids, __u8 *flags) {
  struct head *h = &s->scan.head;
  int has_parent = (extract_traceparent && h->parents == 1) || takes_b3(h);
  __u32 how = sampler_root;
  if (has_parent) {
    __builtin_memcpy(ids, h->ids, 16);
    __builtin_memcpy(ids + 24, h->ids + TRACE_ID_WORDS, 8);
    how = h->trace_flags & 1 ? sampler_parent_sampled : sampler_parent_unsampled;
  } else {
    random_words(s, ids, 2);
    __builtin_memset(ids + 24, 0, 8);
  }
  random_words(s, ids + 16, 1);
  *flags = has_parent ? h->trace_flags & ~1 : 0;
  if (!sample(how, ids)) {
    count(COUNTER_UNSAMPLED);
    return 0;
  }
  *flags = 1 | (has_parent ? h->trace_flags & ~1 : 0);
  header->flags |= has_parent ? FLAG_HAS_PARENT : 0;
  return 1;
}

// A client's request that its program has given a sampled context of another trace: its span takes part in that trace,
// under what the program says its parent is.
static __always_inline void take_own_context(struct event_header *header, __u8 *trace_id, __u8 *parent_id,
                                             __u8 *flags, const struct head *h) {
  __u32 trace[TRACE_ID_WORDS];
  if (!extract_traceparent || h->parents != 1 || !(h->trace_flags & 1)) return;
  __builtin_memcpy(trace, trace_id, 16);
  if (trace[0] == h->ids[0] && trace[1] == h->ids[1] && trace[2] == h->ids[2] && trace[3] == h->ids[3]) return;
  __builtin_memcpy(trace_id, h->ids, 16);
  __builtin_memcpy(parent_id, h->ids + TRACE_ID_WORDS, 8);
  *flags = h->trace_flags;
  header->flags |= FLAG_HAS_PARENT | FLAG_OWN_CONTEXT;
}

static __always_inline void submit_head(struct scratch *s, __u32 data_size) {
  if (data_size > WINDOW) data_size = WINDOW;
  s->request.data_size = data_size;
  submit(&s->request, sizeof(s->request) + data_size);
}

static __always_inline void emit_head_dropped(__u64 now, __u64 connection) {
  struct event_process e = {};
  fill_header(&e.header, EVENT_HEAD_DROPPED, now);
  e.header.connection = connection;
  submit(&e, sizeof e);
}

static __always_inline struct event_response *begin_response(struct scratch *s, __u16 kind, __u64 now,
                                                             __u64 connection, __u64 task, __u32 sequence) {
  struct event_response *e = &s->response;
  fill_header(&e->header, kind, now);
  e->header.connection = connection;
  e->header.task = task;
  e->header.sequence = sequence;
  e->status = e->data_size = e->route_count = e->route_text_size = 0;
  return e;
}

static __always_inline void submit_response(struct event_response *e) {
  __u32 text = e->route_text_size;
  if (text > ROUTE_TEXT) text = ROUTE_TEXT;
  submit(e, __builtin_offsetof(struct event_response, route_text) + text);
}

// ---- probes that look wrong ----

static __always_inline void emit_check(__u32 site, const struct site_check *c, __u32 doubt, __u64 value,
                                       __u64 address) {
  struct scratch *s = scratch_take();
  if (!s) return;
  struct event_check *e = &s->check;
  __builtin_memset(e, 0, sizeof *e);
  fill_header(&e->header, EVENT_CHECK, bpf_ktime_get_ns());
  e->site = site;
  e->doubt = doubt;
  e->score = c->score;
  e->wrong = c->wrong;
  e->odd = c->odd;
  e->unanswered = c->unanswered;
  e->value = value;
  __u32 size = doubt == DOUBT_HEAD || doubt == DOUBT_TEXT ? CHECK_TEXT_BYTES : CHECK_BYTES;
  if (address && !bpf_probe_read_user(e->data, size, (void *)address)) e->data_size = size;
  submit(e, sizeof *e);
  scratch_give(s);
}

// The first, and when it goes on.
static __always_inline int is_told(__u32 count) { return count <= 4 || !(count & 15); }

__noinline int distrust(__u32 site, __u32 doubt, __u64 value, __u64 address) {
  struct site_check *c = check_of(site);
  count(doubt == DOUBT_MEMORY ? COUNTER_READ_FAILED : COUNTER_IMPLAUSIBLE);
  if (!c) return 0;
  __u32 score = c->score;
  __u32 wrong = __sync_fetch_and_add(&c->wrong, 1) + 1;
  c->score = score > CHECK_PENALTY ? score - CHECK_PENALTY : 0;
  if (!is_believed(c) && is_told(wrong)) emit_check(site, c, doubt, value, address);
  return 0;
}

// While that is in doubt nothing is read from it: user space decides.
__noinline int distrust_slot(struct target *target, __u32 doubt, __u64 value) {
  if (!target) return 0;
  struct task_struct *thread = current_thread();
  distrust(target->slot_site, doubt, value, thread->thread.fsbase + (__s64)target->task_id_offset);
  if (!is_believed(check_of(target->slot_site))) __sync_fetch_and_and(&target->flags, ~TARGET_TASK_SLOT);
  return 0;
}

// Of a site that is not proven: 0 when it is believed.
__noinline int leave_aside(struct site_check *c) {
  if (!c) return 0;
  int believed = is_believed(c);
  looked_right(c);
  if (!believed) count(COUNTER_IMPLAUSIBLE);
  return !believed;
}

__noinline int find_odd(__u32 site, __u64 value, __u64 address) {
  struct site_check *c = check_of(site);
  if (!c || c->score) return 0;
  __u32 odd = __sync_fetch_and_add(&c->odd, 1) + 1;
  if (!(odd & 63)) emit_check(site, c, DOUBT_HEAD, value, address);
  return 0;
}

__noinline int miss_answer(__u32 site) {
  struct site_check *c = check_of(site);
  if (!c) return 0;
  __u32 unanswered = __sync_fetch_and_add(&c->unanswered, 1) + 1;
  if (unanswered == 8) emit_check(site, c, DOUBT_UNANSWERED, unanswered, 0);
  return 0;
}
