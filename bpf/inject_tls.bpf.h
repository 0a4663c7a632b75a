// Trace context written into HTTP/1 requests under TLS: behind hyper's encoder, into the buffer that it has filled and
// that nobody has encrypted yet. The only program that writes into a process's memory; it is loaded when it was asked for.
#pragma once

// std's Vec<u8>
struct output {
  __u64 pointer;
  __u64 length;
  __u64 capacity;
};

#define OUTPUT_LIMIT (1 << 20) // no buffer of heads is larger

static __always_inline int read_output(const struct binary_layout *l, __u64 vec, struct output *o) {
  __u64 words[4] = {};
  if (bpf_probe_read_user(words, 24, (void *)vec)) return 0;
  o->pointer = words[l->vec_pointer >> 3 & 3];
  o->length = words[l->vec_length >> 3 & 3];
  o->capacity = words[l->vec_capacity >> 3 & 3];
  return o->pointer && o->length <= o->capacity && o->capacity <= OUTPUT_LIMIT;
}

// The whole of it is one head, as expected; else counted.
static __always_inline int read_encoded(struct scratch *s, const struct output *o) {
  struct outgoing_head *h = &s->outgoing;
  __u64 size = o->length;
  __builtin_memset(h, 0, sizeof *h);
  if (size > OUTGOING_LIMIT) {
    count(COUNTER_INJECT_LARGE);
    return 0;
  }
  if (bpf_probe_read_user(s->data, size & (WINDOW_BUFFER - 1), (void *)o->pointer)) {
    count(COUNTER_INJECT_WRITE);
    return 0;
  }
  h->size = size;
  scan_outgoing(s);
  if (!h->bad && h->end == size) return is_usual_head(h);
  count(COUNTER_INJECT_UNUSUAL);
  return 0;
}

#define LINES_BACK WINDOW // where they are read again

// traceparent, tracestate and the empty line that ends the head, into the scratch; bytes of them but the last two.
static __always_inline __u32 make_lines(struct scratch *s, const struct client_call *call, const struct trace_state *t) {
  __u8 *d = s->data;
  __u32 size = TRACEPARENT_LINE;
  put_line(d, call->ids, call->trace_flags);
  if (t) {
    __u8 *line = d + TRACEPARENT_LINE;
    *(__u64 *)line = WORD('t', 'r', 'a', 'c', 'e', 's', 't', 'a');
    *(__u32 *)(line + 8) = 't' | 'e' << 8 | ':' << 16 | ' ' << 24;
    bpf_probe_read_kernel(line + STATE_NAME, t->size & (TRACE_STATE_BUFFER - 1), t->text);
    size += STATE_NAME + (t->size & (TRACE_STATE_BUFFER - 1));
    d[size & WINDOW_MASK] = '\r';
    d[(size + 1) & WINDOW_MASK] = '\n';
    size += 2;
  }
  d[size & WINDOW_MASK] = '\r';
  d[(size + 1) & WINDOW_MASK] = '\n';
  return size;
}

// Do these bytes of the process hold the lines from their byte 2 on?
static __always_inline int holds_lines(struct scratch *s, __u64 address, __u32 size) {
  __u64 differ = 0;
  if (bpf_probe_read_user(s->data + LINES_BACK, size & 1023, (void *)address)) return 0;
  ROLLED for (__u32 at = 0; at < 512; at += 8) {
    if (at + 8 > size) break;
    differ |= load8(s->data, at + 2) ^ load8(s->data, LINES_BACK + at);
  }
  differ |= load8(s->data, size - 6) ^ load8(s->data, LINES_BACK + size - 8);
  return !differ;
}

// Over the head's last two bytes, in the order in which any failure leaves what the program has written: a page of the
// spare capacity may not be there yet, and of a write over two pages a part stays.
static __always_inline int write_lines(struct scratch *s, __u64 vec, const struct binary_layout *l,
                                       const struct output *o, __u32 size) {
  __u64 end = o->pointer + o->length, last = end - 2, length = o->length + size, found = 0;
  __u64 length_at = vec + (l->vec_length & 24);
  __u16 line_end = '\r' | '\n' << 8;
  if (bpf_probe_write_user((void *)end, s->data + 2, size & 1023) || !holds_lines(s, end, size)) return 0;
  if (!bpf_probe_write_user((void *)last, s->data, 2) && !bpf_probe_write_user((void *)length_at, &length, 8) &&
      !bpf_probe_read_user(&found, 8, (void *)length_at) && found == length)
    return 1;
  length = o->length;
  bpf_probe_write_user((void *)length_at, &length, 8);
  bpf_probe_write_user((void *)last, &line_end, 2);
  return 0;
}

static __always_inline void write_encoded(struct scratch *s, const struct client_call *call, __u64 vec,
                                          const struct binary_layout *l) {
  struct output o;
  if (!read_output(l, vec, &o)) {
    count(COUNTER_INJECT_UNUSUAL);
    return;
  }
  if (!read_encoded(s, &o)) return;
  __u64 room = o.capacity - o.length;
  if (room < TRACEPARENT_LINE) {
    count(COUNTER_INJECT_ROOM);
    return;
  }
  __u32 size = make_lines(s, call, state_for(&s->outgoing, call->parent, o.length + room));
  count(write_lines(s, vec, l, &o, size) ? COUNTER_INJECTED_TLS : COUNTER_INJECT_WRITE);
}

// The encoder returns: what it has written is in memory, and its caller looks there.
static __always_inline void client_encoded(struct pt_regs *ctx) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_CLIENT_LIBRARY)) return;
  struct client_call *call = pending_call(process, current_task_id(target));
  if (!call || !call->output) return;
  __u64 output = call->output;
  call->output = 0;
  if (call->scheme != SCHEME_HTTPS) return;
  if (call->pending != PENDING_TLS) {
    count(COUNTER_INJECT_CALL);
    return;
  }
  struct binary_layout *l = layout_of(ctx);
  struct scratch *s = l ? scratch_take() : 0;
  if (!s) return;
  write_encoded(s, call, output, l);
  scratch_give(s);
}

GUARDED(hyper_client_encoded, client_encoded(ctx))
