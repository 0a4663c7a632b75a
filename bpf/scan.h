// Finds the end of an HTTP/1 message head and the few facts that framing and sampling need.
// Works on windows of user memory copied to a scratch buffer; a head may span windows and reads.
// Line rules are those of httparse: LF or CRLF ends a line, an empty line ends the head, empty lines
// before the first one are skipped. What is malformed is decided strictly in user space.
#pragma once

#define WINDOW CAPTURE_SIZE
// A window may be filled in two reads, each bounded by WINDOW on its own: the buffer holds two of them,
// and a few bytes more because loads of 8 bytes may begin at the last one.
#define WINDOW_BUFFER (2 * WINDOW)
#define WINDOW_MASK (WINDOW_BUFFER - 1)
#define WINDOW_SLACK 64
#define FIRST_WINDOW 1024
#define CARRY 128

enum method_class { METHOD_OTHER = 0, METHOD_HEAD, METHOD_CONNECT };
#define INVALID_PARENT 2

enum coding { CODING_NONE = 0, CODING_CHUNKED, CODING_OTHER };

// Facts gathered so far; lives through windows and pieces.
struct head {
  __u64 length;
  __u32 ids[6]; // trace id and parent id of traceparent, big-endian bytes
  __u8 trace_flags;
  __u8 parents;   // 1: one valid traceparent; several are as good as none (W3C trace context §3.2)
  __u8 started;   // the first line is complete
  __u8 continued; // the current line began before this window
  __u8 bad;       // not HTTP/1, or framing that servers reject
  __u8 http2;
  __u8 method;
  __u8 coding;
  __u8 has_length;
  __u8 response;
  __u16 status;
  __u32 b3_ids[6]; // as `ids`, of B3's headers
  __u8 b3_flags;
  __u8 b3; // enum b3_part: which of them came and are valid
  __u8 unused[6];
};

struct scan {
  __u32 size; // valid bytes in data
  __u32 position;
  __u32 line; // start of the current line
  __u32 end;  // just behind the head, 0 while its end is not in sight
  struct head head;
};

// A request head that is about to be sent, at the beginning of scratch's data.
struct outgoing_head {
  __u32 size; // bytes that are there
  __u32 position;
  __u32 line;     // start of the current line
  __u32 line_end; // of the request line's text
  __u32 spaces;   // … in it
  __u32 first;    // behind the request line, 0 before its end
  __u32 end;      // behind the head, 0 while its end is not in sight
  __u16 headers;
  __u8 hosts;
  __u8 own; // it has a traceparent
  __u8 state; // … a tracestate
  __u8 bad;
  __u8 unused[2];
};

#define TRACE_STATE 254 // bytes of a value: more would need a longer length in HPACK
#define TRACE_STATE_BUFFER 256

struct trace_state {
  __u32 size;
  __u8 text[TRACE_STATE_BUFFER];
};

// HTTP/2 frames of a message that is about to be sent.
struct frame_walk {
  __u32 position;
  __u32 room;   // fields go into the message's first bytes, so many
  __u32 length; // of the frame at the position
  __u32 stream;
  __u8 type;
  __u8 flags;
  __u8 writes;    // fields may be put into this message
  __u8 written;   // one was
  __u8 announced; // a stream that waits to be written is among them
  __u8 lost;
  __u8 unused[2];
};

// Scratch memory is owned by who sets `busy`: a program that is preempted in the middle keeps its own.
// All that a step changes lies here and not on the stack: the verifier tracks each known value of a stack
// slot apart and would walk every combination.
struct scratch {
  __u64 random[2]; // see random_word
  __u32 busy;
  __u32 have;    // bytes in the window
  __u32 carried; // leading bytes of the window that an earlier read brought
  __u32 overlap; // leading bytes of the window that user space has already
  __u32 total;   // bytes of the head before the window
  __u32 sent;    // bytes of the head given to user space
  __u32 left;    // bytes of this read or write that are not consumed
  __u32 result;  // enum head_result of the library's steps
  __u64 pointer; // user address of the next of them, 0 when they can't be read
  __u64 now;
  __u64 task;
  __u32 target_flags;
  __u32 slot_site; // of the target
  __u32 blocking; // the socket's reads and writes wait
  __u32 fields;   // calls, HTTP/2: bytes of the record's data
  __u32 cut;      // HTTP/2: … of which some were left out
  __u32 pseudo;   // … enum headers
  __u32 grpc;     // … the content type is gRPC's
  __u32 looks;    // … whether what it holds is looked at
  __u32 doubt;    // … enum doubt: what is wrong with it, 0 when nothing is
  __u64 doubtful; // … the value
  __u64 print;       // … of the HeaderMap, see add_print
  __u64 print_short; // … without its last entry
  struct scan scan;
  struct outgoing_head outgoing;
  struct frame_walk walk;
  __u32 states; // tracestate headers of the head
  struct trace_state state; // … when it is one
  // The record that is being made; data follows either kind directly.
  union {
    struct {
      __u8 unused_record[sizeof(struct event_response) - sizeof(struct event_request)];
      struct event_request request;
    };
    struct {
      __u8 unused_call[sizeof(struct event_response) - sizeof(struct event_call)];
      struct event_call call;
    };
    struct {
      __u8 unused_client[sizeof(struct event_response) - sizeof(struct event_client_response)];
      struct event_client_response client_response;
    };
    struct {
      __u8 unused_stream[sizeof(struct event_response) - sizeof(struct event_stream)];
      struct event_stream stream;
    };
    struct event_check check;
    struct event_response response;
  };
  __u8 data[WINDOW_BUFFER + WINDOW_SLACK];
};

// What a step works on.
struct feed {
  struct scratch *s;
  struct connection *c;
  struct half *requests;  // the half that carries them
  struct half *responses;
  struct partials *partials;
  __u64 client; // whose side this is
  struct target *target;
  struct sock *sk;
  __u64 library; // number of the library's connection, 0 for a socket's
  __u64 now;
  __u64 task;
};

static __always_inline __u64 load8(const __u8 *data, __u32 offset) {
  return *(const __u64 *)(data + (offset & WINDOW_MASK));
}

static __always_inline __u8 load1(const __u8 *data, __u32 offset) { return data[offset & WINDOW_MASK]; }

// Unrolled loops spill to the stack, of which a chain of calls has 512 bytes in all.
#define ROLLED _Pragma("clang loop unroll(disable)")

#define EACH_BYTE(value) (0x0101010101010101ULL * (value))
#define LOWER EACH_BYTE(0x20)

// 0x80 in each byte that is LF. Exact: no carry passes between bytes.
static __always_inline __u64 newlines(__u64 word) {
  __u64 x = word ^ EACH_BYTE('\n');
  __u64 low = (x & EACH_BYTE(0x7f)) + EACH_BYTE(0x7f);
  return ~(low | x | EACH_BYTE(0x7f));
}

// Index of the lowest marked byte: its mark − 1 has 8·index + 7 ones below; one bit a whole byte is summed.
static __always_inline __u32 first_byte(__u64 marks) {
  __u64 below = (marks & -marks) - 1;
  return ((below >> 7) & EACH_BYTE(1)) * EACH_BYTE(1) >> 56;
}

// Eight lower-case hex digits to four bytes in their order; returns 0, or not 0 when one is no digit.
static __always_inline __u64 hex8(__u64 word, __u32 *out) {
  __u64 nibbles = ((word & EACH_BYTE(0x0f)) + 9 * ((word >> 6) & EACH_BYTE(1))) & EACH_BYTE(0x1f);
  __u64 letters = ((nibbles + EACH_BYTE(6)) >> 4) & EACH_BYTE(1);
  __u64 t = ((nibbles << 4) | (nibbles >> 8)) & 0x00ff00ff00ff00ffULL;
  t = (t | (t >> 8)) & 0x0000ffff0000ffffULL;
  *out = (__u32)(t | (t >> 16));
  return (nibbles & EACH_BYTE(0xf0)) | ((nibbles + EACH_BYTE('0') + letters * ('a' - '0' - 10)) ^ word);
}

static __always_inline __u32 skip_spaces(const __u8 *data, __u32 at) {
  ROLLED for (int i = 0; i < 8; i++) {
    __u8 c = load1(data, at);
    if (c != ' ' && c != '\t') break;
    at++;
  }
  return at;
}

static __always_inline __u32 trim_spaces(const __u8 *data, __u32 end) {
  ROLLED for (int i = 0; i < 8; i++) {
    __u8 c = load1(data, end - 1);
    if (c != ' ' && c != '\t') break;
    end--;
  }
  return end;
}

#define TRACE_ID_WORDS 4
#define ID_WORDS 6

// Decodes 32 digits of trace id and, behind a dash, 16 of parent id to ids[ID_WORDS]; not 0 when one is no
// hex digit or an id is all zero.
static __noinline __u64 parse_ids(struct scratch *s, __u32 at) {
  __u32 *ids = s->scan.head.ids, trace = 0, parent = 0;
  __u64 wrong = 0;
  ROLLED for (__u32 i = 0; i < ID_WORDS; i++) {
    __u32 word = 0;
    wrong |= hex8(load8(s->data, at + 8 * i + (i >= TRACE_ID_WORDS)), &word);
    ids[i] = word;
    if (i < TRACE_ID_WORDS) trace |= word;
    else parent |= word;
  }
  return wrong | !trace | !parent;
}

// W3C trace context level 1 §3.2.2: version "-" trace-id "-" parent-id "-" flags, lower-case hex.
static __noinline void parse_traceparent(struct scratch *s, __u32 at, __u32 end) {
  struct head *h = &s->scan.head;
  const __u8 *d = s->data;
  __u32 version_flags = 0;
  at = skip_spaces(d, at);
  end = trim_spaces(d, end);
  // The two digits of the version and of the flags, read as one word of eight digits.
  __u64 digits = (load8(d, at) & 0xffff) | (load8(d, at + 53) & 0xffff) << 16 | 0x3030303000000000ULL;
  __u64 wrong = hex8(digits, &version_flags) | parse_ids(s, at + 3);
  __u8 version = version_flags;
  wrong |= (load1(d, at + 2) ^ '-') | (load1(d, at + 35) ^ '-') | (load1(d, at + 52) ^ '-');
  wrong |= end < at + 55 || version == 0xff;
  // A later version may have more behind a dash; version 00 may not.
  wrong |= end > at + 55 && (version == 0 || load1(d, at + 55) != '-');
  h->trace_flags = version_flags >> 8;
  h->parents = wrong || h->parents ? INVALID_PARENT : 1;
}

static __noinline void parse_content_length(struct scratch *s, __u32 at, __u32 end) {
  struct head *h = &s->scan.head;
  __u64 value = 0;
  __u32 digits = 0;
  at = skip_spaces(s->data, at);
  end = trim_spaces(s->data, end);
  ROLLED for (int i = 0; i < 19; i++) {
    if (at >= end) break;
    __u8 c = load1(s->data, at) - '0';
    if (c > 9) break;
    value = value * 10 + c;
    digits++;
    at++;
  }
  if (!digits || at != end || (h->has_length && h->length != value)) h->bad = 1;
  h->has_length = 1;
  h->length = value;
}

// RFC 9112 §6.1: the last coding decides.
static __always_inline void parse_transfer_encoding(struct scratch *s, __u32 at, __u32 end) {
  end = trim_spaces(s->data, end);
  int chunked = end >= at + 7 && ((load8(s->data, end - 7) | LOWER) & 0x00ffffffffffffffULL) == 0x0064656b6e756863ULL;
  __u32 before = trim_spaces(s->data, end - 7);
  if (before > at && load1(s->data, before - 1) != ',') chunked = 0;
  s->scan.head.coding = chunked ? CODING_CHUNKED : CODING_OTHER;
}

#define WORD(a, b, c, d, e, f, g, h)                                                                       \
  ((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 |                   \
   (__u64)(f) << 40 | (__u64)(g) << 48 | (__u64)(h) << 56)

int b3_line(struct scratch *s, __u32 end);
int note_trace_state(struct scratch *s, __u32 at, __u32 end);

static __always_inline void header_line(struct scratch *s, __u32 end) {
  __u64 name = load8(s->data, s->scan.line) | LOWER;
  __u64 next = load8(s->data, s->scan.line + 8) | LOWER;
  if (name == WORD('c', 'o', 'n', 't', 'e', 'n', 't', '-')) {
    if ((next & 0x00ffffffffffffffULL) == WORD('l', 'e', 'n', 'g', 't', 'h', ':', 0))
      parse_content_length(s, s->scan.line + 15, end);
  } else if (name == WORD('t', 'r', 'a', 'n', 's', 'f', 'e', 'r')) {
    __u64 rest = load8(s->data, s->scan.line + 16) | LOWER;
    if (next == WORD('-', 'e', 'n', 'c', 'o', 'd', 'i', 'n') && (rest & 0xffff) == ('g' | ':' << 8))
      parse_transfer_encoding(s, s->scan.line + 18, end);
  } else if (name == WORD('t', 'r', 'a', 'c', 'e', 'p', 'a', 'r')) {
    if ((next & 0xffffffff) == ('e' | 'n' << 8 | 't' << 16 | (__u64)':' << 24))
      parse_traceparent(s, s->scan.line + 12, end);
  } else if (name == WORD('t', 'r', 'a', 'c', 'e', 's', 't', 'a')) {
    if ((next & 0xffffff) == ('t' | 'e' << 8 | (__u64)':' << 16)) note_trace_state(s, s->scan.line + 11, end);
  } else if ((__u8)name == 'x' || (__u8)name == 'b') {
    b3_line(s, end);
  }
}

#define HTTP_1 0x2e312f50545448ULL // "HTTP/1."

// Looks at the beginning of a request line, as soon as 8 bytes of it are there.
static __always_inline void request_line_begins(struct scratch *s) {
  __u64 w = load8(s->data, s->scan.line);
  struct head *h = &s->scan.head;
  // A byte below 0x20 borrows into its top bit. A target may hold bytes above 0x7f, the method may not.
  if (((w - EACH_BYTE(0x20)) & ~w & EACH_BYTE(0x80)) | (w & 0x808080)) h->bad = 1;
  if (w == WORD('C', 'O', 'N', 'N', 'E', 'C', 'T', ' ')) h->method = METHOD_CONNECT;
  else if ((w & 0xffffffffffULL) == WORD('H', 'E', 'A', 'D', ' ', 0, 0, 0)) h->method = METHOD_HEAD;
  else h->method = METHOD_OTHER;
  if (w == WORD('P', 'R', 'I', ' ', '*', ' ', 'H', 'T')) h->http2 = 1;
}

static __always_inline void status_line(struct scratch *s, __u32 end) {
  struct head *h = &s->scan.head;
  __u64 digits = load8(s->data, s->scan.line + 8);
  if (s->scan.head.continued || end < s->scan.line + 12 || (digits & 0xff) != ' ') {
    h->bad = 1;
    return;
  }
  if ((load8(s->data, s->scan.line) & 0x00ffffffffffffffULL) != HTTP_1) h->bad = 1;
  __u32 a = (digits >> 8 & 0xff) - '0', b = (digits >> 16 & 0xff) - '0', c = (digits >> 24 & 0xff) - '0';
  if (a > 9 || b > 9 || c > 9 || !a) h->bad = 1;
  h->status = a * 100 + b * 10 + c;
}

static __always_inline void request_line(struct scratch *s, __u32 end) {
  struct head *h = &s->scan.head;
  if (!h->continued) {
    request_line_begins(s);
    // "G / HTTP/1.1" is the shortest; a method begins with a token character.
    __u8 c = load1(s->data, s->scan.line);
    if (end < s->scan.line + 12 || c < '!' || c > '~') {
      h->bad = 1;
      return;
    }
  }
  if (load1(s->data, end - 9) != ' ') h->bad = 1;
  __u64 version = load8(s->data, end - 8);
  if ((version & 0x00ffffffffffffffULL) != HTTP_1 || (version >> 56 != '0' && version >> 56 != '1')) h->bad = 1;
}

// 1 when the scan is over: the head ends here or is no HTTP.
static __always_inline int end_of_line(struct scratch *s, __u32 newline) {
  __u32 end = newline;
  struct head *h = &s->scan.head;
  if (end > s->scan.line && load1(s->data, end - 1) == '\r') end--;
  if (end == s->scan.line && !h->continued) {
    if (h->started) {
      s->scan.end = newline + 1;
      return 1;
    }
  } else if (!h->started) {
    if (h->response) status_line(s, end);
    else request_line(s, end);
    h->started = 1;
    if (h->bad) return 1;
  } else if (!h->continued) {
    header_line(s, end);
  }
  h->continued = 0;
  s->scan.line = newline + 1;
  s->scan.position = newline + 1;
  return 0;
}

// The line is longer than what is kept of it; its end still has to be found. No header that matters here has
// such a value: what the beginning holds decides, and a length that is none is refused here as by servers.
__noinline int cut_line(struct scratch *s) {
  if (!s) return 0;
  if (s->scan.head.started && !s->scan.head.continued) header_line(s, s->scan.size);
  s->scan.head.continued = 1;
  return 0;
}

struct window {
  struct scratch *s;
};

// One step: up to the next line end, or 32 bytes further. Several lines a step would double the verifier's work.
static long scan_step(__u32 index, struct window *w) {
  struct scratch *s = w->s;
  __u32 at = s->scan.position;
  if (at >= s->scan.size) return 1;
  __u64 marks = newlines(load8(s->data, at));
  if (!marks) marks = newlines(load8(s->data, at += 8));
  if (!marks) marks = newlines(load8(s->data, at += 8));
  if (!marks) marks = newlines(load8(s->data, at += 8));
  if (!marks) {
    s->scan.position = at + 8;
    return 0;
  }
  at += first_byte(marks);
  if (at >= s->scan.size) return 1;
  return end_of_line(s, at);
}

// Scans what the window holds, from the line where the last scan of it stopped. Afterwards: end ≠ 0
// (complete), head.bad, or line = start of what is still incomplete.
// Not static: the verifier walks a global function once, not once a path that leads to it.
__noinline int scan_window(struct scratch *s) {
  struct window w = {.s = s};
  if (!s) return 0;
  struct scan *scan = &s->scan;
  scan->position = scan->line;
  scan->end = 0;
  bpf_loop(WINDOW, scan_step, &w, 0);
  if (scan->end || scan->head.bad || scan->head.started || scan->head.continued || scan->head.response) return 0;
  if (scan->size >= scan->line + 8) request_line_begins(s);
  return 0;
}
