// B3 propagation, https://github.com/openzipkin/b3-propagation: one header or several.
#pragma once

#define EXTRACT_B3_SINGLE 1
#define EXTRACT_B3_MULTI 2

enum b3_part { B3_NONE = 0, B3_TRACE = 1, B3_SPAN = 2, B3_SINGLE = 4, B3_SAMPLED = 8, B3_FLAGS = 16 };

#define TEXT4(a, b, c, d) ((a) | (b) << 8 | (c) << 16 | (__u64)(d) << 24)

// Which header has a name that begins here, and how long it is.
static __always_inline int b3_name(const __u8 *data, __u32 at, __u32 *size) {
  __u64 name = load8(data, at) | LOWER, next = load8(data, at + 8) | LOWER;
  *size = 2;
  if ((name & 0xffff) == ('b' | '3' << 8)) return B3_SINGLE;
  *size = 12;
  if (name == WORD('x', '-', 'b', '3', '-', 't', 'r', 'a') && (next & 0xffffffff) == TEXT4('c', 'e', 'i', 'd')) return B3_TRACE;
  if (name == WORD('x', '-', 'b', '3', '-', 's', 'a', 'm') && (next & 0xffffffff) == TEXT4('p', 'l', 'e', 'd')) return B3_SAMPLED;
  *size = 11;
  if (name == WORD('x', '-', 'b', '3', '-', 's', 'p', 'a') && (next & 0xffffff) == TEXT4('n', 'i', 'd', 0)) return B3_SPAN;
  *size = 10;
  if (name == WORD('x', '-', 'b', '3', '-', 'f', 'l', 'a') && (next & 0xffff) == TEXT4('g', 's', 0, 0)) return B3_FLAGS;
  return B3_NONE;
}

// `words` of eight digits each; not 0 when one is no lower-case hex digit, or all are zero.
static __always_inline __u64 b3_digits(const __u8 *data, __u32 at, __u32 *out, int words) {
  __u64 wrong = 0;
  __u32 any = 0;
  ROLLED for (int i = 0; i < words; i++) {
    wrong |= hex8(load8(data, at + 8 * i), &out[i]);
    any |= out[i];
  }
  return wrong | !any;
}

// 32 or 16 digits: a short one is the lower half.
static __always_inline __u64 b3_trace(struct head *h, const __u8 *data, __u32 at, __u32 size) {
  if (size == 32) return b3_digits(data, at, h->b3_ids, 4);
  h->b3_ids[0] = h->b3_ids[1] = 0;
  return size == 16 ? b3_digits(data, at, h->b3_ids + 2, 2) : 1;
}

// {trace}-{span}[-{0, 1 or d}[-{parent}]]. Not static, as what follows: walked once by the verifier, and the deepest of all
// calls.
__noinline int b3_single(struct scratch *s, __u32 at, __u32 end) {
  if (!s) return 0;
  struct head *h = &s->scan.head;
  const __u8 *data = s->data;
  __u32 size = load1(data, at + 32) == '-' ? 32 : 16, span = at + size + 1, state = span + 17;
  h->b3 &= ~(B3_TRACE | B3_SPAN);
  h->b3_flags = 0;
  if (end < span + 16 || load1(data, at + size) != '-') return 0;
  __u8 sampled = end > span + 16 ? load1(data, state) : '0';
  if (end > span + 16) {
    if (load1(data, span + 16) != '-' || end < state + 1 || (end > state + 1 && load1(data, state + 1) != '-')) return 0;
    if (sampled != '0' && sampled != '1' && sampled != 'd') return 0;
  }
  if (b3_trace(h, data, at, size) || b3_digits(data, span, h->b3_ids + TRACE_ID_WORDS, 2)) return 0;
  h->b3_flags = sampled != '0';
  h->b3 |= B3_SINGLE;
  return 0;
}

// A header's value, of several: the first of them may come in any order.
__noinline int b3_multi(struct scratch *s, __u32 part, __u32 at, __u32 end) {
  if (!s) return 0;
  struct head *h = &s->scan.head;
  const __u8 *data = s->data;
  __u8 first = load1(data, at);
  if (h->b3 & B3_SINGLE) return 0;
  if (part == B3_SAMPLED) h->b3_flags |= first == '1' || first == 't';
  else if (part == B3_FLAGS) h->b3_flags |= first == '1';
  else if (part == B3_TRACE && !b3_trace(h, data, at, end - at)) h->b3 |= B3_TRACE;
  else if (part == B3_SPAN && end == at + 16 && !b3_digits(data, at, h->b3_ids + TRACE_ID_WORDS, 2)) h->b3 |= B3_SPAN;
  return 0;
}

static __always_inline void b3_value(struct scratch *s, __u32 part, __u32 at, __u32 end) {
  at = skip_spaces(s->data, at);
  end = trim_spaces(s->data, end);
  if (part == B3_SINGLE) b3_single(s, at, end);
  else b3_multi(s, part, at, end);
}

// The current line of a head may be one of them.
__noinline int b3_line(struct scratch *s, __u32 end) {
  if (!s || !extract_b3) return 0;
  __u32 size, at = s->scan.line;
  int part = b3_name(s->data, at, &size);
  if (part && load1(s->data, at + size) == ':') b3_value(s, part, at + size + 1, end);
  return 0;
}

// HTTP/2: a custom header's name in the record's data, and its value behind it.
__noinline int b3_field(struct scratch *s, __u32 name, __u32 name_size) {
  if (!s || !extract_b3) return 0;
  __u32 size;
  int part = b3_name(s->data, name, &size);
  if (part && size == name_size) b3_value(s, part, name + size, s->fields);
  return 0;
}

// Where no valid traceparent came: the context of B3, as far as it is asked for, becomes the head's.
static __always_inline int takes_b3(struct head *h) {
  int single = extract_b3 & EXTRACT_B3_SINGLE && h->b3 & B3_SINGLE;
  int multi = extract_b3 & EXTRACT_B3_MULTI && (h->b3 & (B3_TRACE | B3_SPAN)) == (B3_TRACE | B3_SPAN);
  if (!single && !multi) return 0;
  __builtin_memcpy(h->ids, h->b3_ids, sizeof h->ids);
  h->trace_flags = h->b3_flags;
  return 1;
}
