// Where heads begin and end in a byte stream: RFC 9112 §6 and §7.1, as strict as a server's own parser.
// One feed is one contiguous piece of a read or write.
#pragma once

#define FEED_STEPS 65536
#define SENT_LIMIT 8192 // bytes of one head given to user space

static __always_inline void advance(struct feed *f, __u32 bytes) {
  if (bytes > f->s->left) bytes = f->s->left;
  f->s->left -= bytes;
  if (f->s->pointer) f->s->pointer += bytes;
}

static __always_inline int skip_body(struct feed *f, struct half *h, __u8 next) {
  __u64 n = h->remaining < f->s->left ? h->remaining : f->s->left;
  h->remaining -= n;
  advance(f, n);
  if (!h->remaining) h->state = next;
  return 0;
}

static __always_inline int lose(struct half *h) {
  h->state = HALF_UNKNOWN;
  count(COUNTER_CONNECTION_LOST);
  return 1;
}

static __always_inline int hex_digit(__u8 c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// One byte of chunk framing, or a run of chunk data. RFC 9112 §7.1.
static __always_inline int chunk_step(struct feed *f, struct half *h) {
  if (h->chunk == CHUNK_DATA) {
    __u64 n = h->remaining < f->s->left ? h->remaining : f->s->left;
    h->remaining -= n;
    advance(f, n);
    if (!h->remaining) h->chunk = CHUNK_DATA_END;
    return 0;
  }
  __u8 c = 0;
  if (!f->s->pointer || bpf_probe_read_user(&c, 1, (void *)f->s->pointer)) return lose(h);
  advance(f, 1);
  if (h->chunk == CHUNK_SIZE) {
    int digit = hex_digit(c);
    if (digit >= 0) {
      if (h->digits++ >= 15) return lose(h);
      h->remaining = h->remaining << 4 | (__u64)digit;
      return 0;
    }
    if (!h->digits) return lose(h);
    if (c == ';' || c == ' ' || c == '\t' || c == '\r') h->chunk = CHUNK_EXTENSION;
    else if (c != '\n') return lose(h);
  }
  if (c == '\n') {
    if (h->chunk == CHUNK_TRAILER) {
      h->state = HALF_IDLE;
    } else if (h->chunk == CHUNK_DATA_END) {
      h->chunk = CHUNK_SIZE;
      h->remaining = h->digits = 0;
    } else if (h->chunk == CHUNK_TRAILER_LINE) {
      h->chunk = CHUNK_TRAILER;
    } else {
      h->chunk = h->remaining ? CHUNK_DATA : CHUNK_TRAILER;
    }
    return 0;
  }
  if (h->chunk == CHUNK_TRAILER && c != '\r') h->chunk = CHUNK_TRAILER_LINE;
  if (h->chunk == CHUNK_DATA_END && c != '\r') return lose(h);
  return 0;
}

static __always_inline void begin_chunks(struct half *h) {
  h->state = HALF_CHUNKED;
  h->chunk = CHUNK_SIZE;
  h->remaining = h->digits = 0;
}

static __always_inline void begin_head(struct feed *f, int response) {
  __builtin_memset(&f->s->scan.head, 0, sizeof(f->s->scan.head));
  f->s->scan.head.response = response;
  f->s->scan.line = 0;
  f->s->have = f->s->carried = f->s->overlap = f->s->total = f->s->sent = 0;
  f->s->states = 0;
}

// Continues the head that the read before left incomplete.
static __always_inline void resume_head(struct feed *f, struct partial *p) {
  f->s->scan.head = p->head;
  f->s->scan.line = 0;
  f->s->states = 0;
  f->s->total = p->total;
  f->s->sent = p->sent;
  f->s->carried = f->s->have = f->s->overlap = p->carried & (CARRY - 1);
  __builtin_memcpy(f->s->data, p->carry, CARRY);
}

static __always_inline void suspend_head(struct feed *f, struct partial *p) {
  __u32 from = f->s->scan.line, rest = f->s->have - from;
  if (rest >= CARRY) {
    cut_line(f->s);
    from = f->s->have - (CARRY - 1);
    rest = CARRY - 1;
  }
  p->head = f->s->scan.head;
  p->total = f->s->total + from;
  p->sent = f->s->sent;
  p->carried = rest;
  bpf_probe_read_kernel(p->carry, CARRY, f->s->data + (from & WINDOW_MASK));
  f->s->left = 0;
}

enum head_result { HEAD_MORE, HEAD_WAIT, HEAD_BAD, HEAD_DONE };

// Reads on and scans. HEAD_DONE: scan.end bytes of the window belong to the head.
static __always_inline int head_step(struct feed *f) {
  struct scan *s = &f->s->scan;
  __u32 used = f->s->have - f->s->carried; // bytes of the feed that are in the window
  __u32 room = f->s->have < FIRST_WINDOW ? FIRST_WINDOW : WINDOW;
  __u32 want = f->s->left - used;
  if (want > room - f->s->have) want = room - f->s->have;
  if (want > WINDOW) want = WINDOW;
  __u32 at = f->s->have & (WINDOW - 1);
  if (!f->s->pointer || bpf_probe_read_user(f->s->data + at, want, (void *)(f->s->pointer + used))) {
    count(COUNTER_READ_FAILED);
    f->s->doubt = DOUBT_MEMORY;
    return HEAD_BAD;
  }
  f->s->have += want;
  s->size = f->s->have;
  scan_window(f->s);
  if (s->head.bad || s->head.http2) return HEAD_BAD;
  if (s->end) return HEAD_DONE;
  if (f->s->have - f->s->carried >= f->s->left) return HEAD_WAIT;
  return HEAD_MORE;
}

// The window is full and the head goes on: the incomplete line becomes the start of the next window.
static __always_inline void slide_window(struct feed *f) {
  __u32 from = f->s->scan.line;
  if (!from) {
    cut_line(f->s);
    from = WINDOW - 64;
  }
  advance(f, from - (from < f->s->carried ? from : f->s->carried));
  f->s->total += from;
  f->s->overlap = f->s->have - from;
  f->s->have = f->s->carried = 0;
  f->s->scan.line = 0;
}

static __always_inline void finish_head(struct feed *f) {
  __u32 end = f->s->scan.end;
  advance(f, end > f->s->carried ? end - f->s->carried : 0);
}

// Part of a head whose end has not come: user space keeps the bytes.
static __always_inline void emit_piece(struct feed *f, __u64 connection) {
  struct scratch *s = f->s;
  struct event_request *r = &s->request;
  if (s->sent >= SENT_LIMIT || s->have <= s->overlap) return;
  fill_header(&r->header, EVENT_HEAD_PIECE, f->now);
  r->header.connection = connection;
  r->header.task = f->task;
  r->data_overlap = s->overlap;
  r->head_size = s->total + s->have;
  s->sent += s->have - s->overlap;
  submit_head(s, s->have);
}

// Sends the record of a complete head whose header and addresses are filled in; 0 when it is not sampled.
static __always_inline int submit_request(struct scratch *s) {
  struct event_request *r = &s->request;
  __u32 size = s->scan.end;
  int sampled = start_trace(s, &r->header, r->trace_id, &r->trace_flags);
  keep_trace_state(s, r->span_id);
  if (!sampled) {
    if (s->sent) emit_head_dropped(s->now, r->header.connection);
    return 0;
  }
  r->head_size = s->total + size;
  r->data_overlap = s->overlap;
  if (s->sent >= SENT_LIMIT) {
    count(COUNTER_HEAD_TRUNCATED);
    size = r->data_overlap = 0;
  }
  submit_head(s, size);
  return 1;
}
