// tracestate of an incoming request, kept for the calls that are made for it: W3C trace context §3.3. One header of up
// to TRACE_STATE bytes; several, a longer one, or one in a head that comes in pieces is not passed on.
#pragma once

// As it is written before a value.
#define STATE_NAME 12  // "tracestate: "
#define STATE_FIELD 12 // HPACK literal: 0x10, 10, "tracestate"

// Between the lines of a head, or of a header in HTTP/2: the value is in scratch's data.
__noinline int note_trace_state(struct scratch *s, __u32 at, __u32 end) {
  if (!s || !pass_tracestate) return 0;
  at = skip_spaces(s->data, at);
  end = trim_spaces(s->data, end);
  __u32 size = end - at;
  s->states++;
  s->state.size = 0;
  if (end <= at || size > TRACE_STATE || s->states > 1) return 0;
  if (bpf_probe_read_kernel(s->state.text, size & (TRACE_STATE_BUFFER - 1), s->data + (at & WINDOW_MASK))) return 0;
  s->state.size = size;
  return 0;
}

// For the calls under this SERVER span, whose parent came in a traceparent.
static __always_inline void keep_trace_state(struct scratch *s, const __u8 *span_id) {
  __u64 id;
  if (!pass_tracestate || s->states != 1 || !s->state.size || s->scan.head.parents != 1) return;
  __builtin_memcpy(&id, span_id, 8);
  if (bpf_map_update_elem(&trace_states, &id, &s->state, BPF_ANY)) count(COUNTER_MAP_FULL);
}

// Of the span that a call is made under.
static __always_inline struct trace_state *find_trace_state(const __u32 *parent) {
  __u64 id;
  __builtin_memcpy(&id, parent, 8);
  return pass_tracestate && id ? bpf_map_lookup_elem(&trace_states, &id) : 0;
}

// Bytes of its line, of its field.
static __always_inline __u32 state_line_size(const struct trace_state *t) { return t ? STATE_NAME + t->size + 2 : 0; }

static __always_inline __u32 state_field_size(const struct trace_state *t) {
  return t ? STATE_FIELD + (t->size < 127 ? 1 : 2) + t->size : 0;
}

// The value to `at` in the message, as far as it reaches; 0 when it didn't.
static __always_inline int put_state_text(struct sk_msg_md *m, __u32 at, const struct trace_state *t) {
  __u32 size = t->size;
  __u8 *to = m->data + (at & 255);
  ROLLED for (__u32 i = 0; i < TRACE_STATE; i++) {
    if (i >= size) return 1;
    if ((void *)(to + i + 1) > m->data_end) return 0;
    to[i] = t->text[i];
  }
  return 1;
}

// Behind traceparent's, in the gap that the message shows.
static __always_inline int put_state_line(struct sk_msg_md *m, const struct trace_state *t) {
  __u8 *d = m->data + TRACEPARENT_LINE;
  if ((void *)(d + STATE_NAME) > m->data_end) return 0;
  *(__u64 *)d = WORD('t', 'r', 'a', 'c', 'e', 's', 't', 'a');
  *(__u32 *)(d + 8) = 't' | 'e' << 8 | ':' << 16 | ' ' << 24;
  if (!put_state_text(m, TRACEPARENT_LINE + STATE_NAME, t)) return 0;
  __u8 *end = m->data + TRACEPARENT_LINE + STATE_NAME + (t->size & 255);
  if ((void *)(end + 2) > m->data_end) return 0;
  end[0] = '\r';
  end[1] = '\n';
  return 1;
}

static __always_inline int put_state_field(struct sk_msg_md *m, const struct trace_state *t) {
  __u8 *d = m->data + TRACEPARENT_FIELD;
  __u32 size = t->size;
  if ((void *)(d + STATE_FIELD + 2) > m->data_end) return 0;
  *(__u64 *)d = WORD(0x10, 10, 't', 'r', 'a', 'c', 'e', 's');
  *(__u32 *)(d + 8) = 't' | 'a' << 8 | 't' << 16 | 'e' << 24;
  d[STATE_FIELD] = size < 127 ? size : 127; // an integer with a prefix of 7 bits: RFC 7541 §5.1
  if (size < 127) return put_state_text(m, TRACEPARENT_FIELD + STATE_FIELD + 1, t);
  d[STATE_FIELD + 1] = size - 127;
  return put_state_text(m, TRACEPARENT_FIELD + STATE_FIELD + 2, t);
}
