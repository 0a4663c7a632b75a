// A request head that is about to be sent, looked at more strictly than one that is only watched: a header is written
// into it when every line is as expected, else it stays as it is.
#pragma once

#define OUTGOING_LIMIT (WINDOW_BUFFER - TRACEPARENT_LINE) // 8 KiB with the header: no common server refuses it
#define OUTGOING_HEADERS 99 // … nor 100 headers

// Spaces in each byte, counted.
static __always_inline __u32 spaces(__u64 word) {
  __u64 x = word ^ EACH_BYTE(' ');
  __u64 marks = ~(((x & EACH_BYTE(0x7f)) + EACH_BYTE(0x7f)) | x | EACH_BYTE(0x7f));
  return (marks >> 7) * EACH_BYTE(1) >> 56;
}

static long count_spaces(__u32 index, struct window *w) {
  struct scratch *s = w->s;
  __u32 at = index * 8, end = s->outgoing.line_end;
  if (at >= end) return 1;
  __u64 word = load8(s->data, at);
  if (at + 8 > end) word &= (1ULL << 8 * ((end - at) & 7)) - 1;
  s->outgoing.spaces += spaces(word);
  return 0;
}

// "GET /path HTTP/1.1": exactly two spaces. `end` is that of its text.
static __always_inline int is_request_line(struct scratch *s, __u32 end) {
  if (end < 14) return 0;
  if (load8(s->data, end - 8) != WORD('H', 'T', 'T', 'P', '/', '1', '.', '1') || load1(s->data, end - 9) != ' ') return 0;
  struct window w = {.s = s};
  s->outgoing.line_end = end;
  s->outgoing.spaces = 0;
  bpf_loop(WINDOW_BUFFER / 8, count_spaces, &w, 0);
  return s->outgoing.spaces == 2;
}

// A header's line: not a continued one, its name is followed by a colon.
static __always_inline void outgoing_line(struct scratch *s) {
  struct outgoing_head *h = &s->outgoing;
  __u64 name = load8(s->data, h->line), next = load8(s->data, h->line + 8);
  __u8 first = name;
  if (first <= ' ' || first == ':' || first >= 0x7f) h->bad = 1;
  h->headers++;
  if (((name | LOWER) & 0xffffffff) == ('h' | 'o' << 8 | 's' << 16 | (__u64)'t' << 24) && (name >> 32 & 0xff) == ':')
    h->hosts++;
  if ((name | LOWER) == WORD('t', 'r', 'a', 'c', 'e', 'p', 'a', 'r') &&
      ((next | LOWER) & 0xffffff) == ('e' | 'n' << 8 | 't' << 16))
    h->own = 1;
  if ((name | LOWER) == WORD('t', 'r', 'a', 'c', 'e', 's', 't', 'a') && ((next | LOWER) & 0xffff) == ('t' | 'e' << 8))
    h->state = 1;
}

// 1 when the scan is over.
static __always_inline int outgoing_line_ends(struct scratch *s, __u32 newline) {
  struct outgoing_head *h = &s->outgoing;
  __u32 end = newline - 1;
  if (newline == h->line || load1(s->data, end) != '\r') {
    h->bad = 1;
    return 1;
  }
  if (end == h->line) {
    if (!h->first) h->bad = 1;
    h->end = newline + 1;
    return 1;
  }
  if (h->first) {
    outgoing_line(s);
  } else {
    if (!is_request_line(s, end)) h->bad = 1;
    h->first = newline + 1;
  }
  h->line = h->position = newline + 1;
  return h->bad != 0;
}

// One step: up to the next line end, or 32 bytes further.
static long outgoing_step(__u32 index, struct window *w) {
  struct scratch *s = w->s;
  struct outgoing_head *h = &s->outgoing;
  __u32 at = h->position;
  if (at >= h->size) return 1;
  __u64 marks = newlines(load8(s->data, at));
  if (!marks) marks = newlines(load8(s->data, at += 8));
  if (!marks) marks = newlines(load8(s->data, at += 8));
  if (!marks) marks = newlines(load8(s->data, at += 8));
  if (!marks) {
    h->position = at + 8;
    return 0;
  }
  at += first_byte(marks);
  if (at >= h->size) return 1;
  return outgoing_line_ends(s, at);
}

// Of a whole one: may a header be added? Else counted.
static __always_inline int is_usual_head(const struct outgoing_head *h) {
  if (h->own) count(COUNTER_INJECT_OWN);
  else if (h->hosts != 1) count(COUNTER_INJECT_UNUSUAL);
  else if (h->headers > OUTGOING_HEADERS || h->end > OUTGOING_LIMIT) count(COUNTER_INJECT_LARGE);
  else return 1;
  return 0;
}

// From the line where the last scan has stopped. Afterwards: bad, end ≠ 0, or more is wanted.
// Not static: walked once by the verifier.
__noinline int scan_outgoing(struct scratch *s) {
  struct window w = {.s = s};
  if (!s) return 0;
  s->outgoing.position = s->outgoing.line;
  bpf_loop(WINDOW_BUFFER, outgoing_step, &w, 0);
  return 0;
}
