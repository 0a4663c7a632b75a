// Messages that are about to be sent: heads and what looks like them, and frames of HTTP/2, cut anywhere, in pieces of
// any size, with sends that are cut short or refused and helpers that fail. What must hold: no read or write outside
// (the sanitizers see to that), and what goes out is what came, but for whole headers in the places where they belong.
#pragma once

#define FUZZ_MESSAGES 16384
#define FUZZ_STREAMS 64 // numbers of streams that are announced

static __u64 fuzz_added[2]; // headers that went out: HTTP/1, HTTP/2
static __u8 fuzz_out[4 * FUZZ_MESSAGES];

static void fuzz_differs(const char *what, const __u8 *in, __u32 size, const __u8 *out, __u32 out_size) {
  fprintf(stderr, "%s\nin  %u:", what, size);
  for (__u32 i = 0; i < size; i++) fprintf(stderr, "%02x", in[i]);
  fprintf(stderr, "\nout %u:", out_size);
  for (__u32 i = 0; i < out_size; i++) fprintf(stderr, "%02x", out[i]);
  fail(" ");
}

static int is_lower_hex(const __u8 *at, int count) {
  while (count--)
    if (!strchr("0123456789abcdef", at[count]) || !at[count]) return 0;
  return 1;
}

// "00-<32>-<16>-0<f>"
static int is_value(const __u8 *v) {
  return !memcmp(v, "00-", 3) && is_lower_hex(v + 3, 32) && v[35] == '-' && is_lower_hex(v + 36, 16) && v[52] == '-' &&
         is_lower_hex(v + 53, 2);
}

static int has_own(const __u8 *head, __u32 size) {
  for (__u32 i = 0; i + 11 <= size; i++)
    if (!strncasecmp((const char *)head + i, "traceparent", 11) && i && head[i - 1] == '\n') return 1;
  return 0;
}

// A header behind the first line of a whole head, or nothing.
static void check_head(const __u8 *in, __u32 size, const __u8 *out, __u32 out_size) {
  if (out_size == size) {
    if (memcmp(in, out, size)) fuzz_differs("Bytes were changed", in, size, out, out_size);
    return;
  }
  const __u8 *line = memchr(in, '\n', size), *end = memmem(in, size, "\r\n\r\n", 4);
  __u32 at = line ? line + 1 - in : 0;
  int right = out_size == size + TRACEPARENT_LINE && end && at >= 16 && !memcmp(in + at - 10, "HTTP/1.1\r\n", 10) &&
              !memcmp(in, out, at) && !memcmp(out + at, "traceparent: ", 13) && is_value(out + at + 13) &&
              !memcmp(out + at + 68, "\r\n", 2) && !memcmp(in + at, out + at + TRACEPARENT_LINE, size - at) &&
              !has_own(in, end + 2 - in);
  if (!right) fuzz_differs("A head is not as it came", in, size, out, out_size);
  fuzz_added[0]++;
}

static __u32 fuzz_pieces(__u32 *pieces, __u32 size) {
  __u32 count = fuzz_random(3) ? 0 : fuzz_random(6);
  for (__u32 i = 0; i < count; i++) pieces[i] = fuzz_random(size + 1);
  return count;
}

// What a socket takes without doubt.
static void fuzz_room(unsigned socket, __u32 room) {
  socket_of(socket)->sk_wmem_queued = SEND_BUFFER - 4096 - 4 * (__s32)room;
}

// What sk_msg makes of these bytes.
static __u8 *fuzz_message(unsigned socket, const __u8 *bytes, __u32 size, __u32 room, __u32 *out_size) {
  fuzz_room(socket, room);
  static __u32 pieces[8];
  struct transfer_call call = {.socket = socket, .write = 1, .bytes = bytes, .size = size, .pieces = pieces};
  call.piece_count = fuzz_pieces(pieces, size);
  call.how = fuzz_random(CALL_OTHER);
  host_helper_failure = fuzz_random(8) ? 0 : 1 + fuzz_random(6);
  return run_message(&call, out_size);
}

// How many of the message's bytes the send takes: all, none, or, of what goes out, at least `room`. The kernel counts
// out what was added.
static __s32 fuzz_taken(unsigned socket, const __u8 *bytes, __u32 size, __u32 out_size, __u32 room) {
  struct transfer_call call = {.socket = socket, .write = 1, .bytes = bytes, .size = size, .moved = size};
  __u32 how = fuzz_random(8);
  if (how == 0) call.moved = -11;
  else if (how == 1 && room < out_size) call.moved = size - fuzz_random(out_size - room);
  if (!call.moved) call.moved = -11;
  run_transfer(&call);
  return call.moved > 0 ? call.moved : 0;
}

static __u32 fuzz_head(__u8 *to) {
  static const char *const LINES[] = {
      "Host: example.org\r\n", "accept: */*\r\n", "Content-Length: 0\r\n", "Content-Length: 40\r\n", "TraceParent: x\r\n",
      "traceparenx: 1\r\n", "x-a: b\n", " folded\r\n", ": none\r\n", "a\r\n", "Transfer-Encoding: chunked\r\n", "\r\n",
  };
  __u32 at = 0, count = fuzz_random(8);
  const char *first = fuzz_random(8) ? "GET /a HTTP/1.1\r\nHost: h\r\n" : fuzz_random(2) ? "POST /b c HTTP/1.1\r\n" : "PUT / HTTP/1.0\r\n";
  at = strlen(first);
  memcpy(to, first, at);
  while (count--) {
    const char *line = LINES[fuzz_random(fuzz_random(3) ? 3 : sizeof LINES / sizeof *LINES)];
    memcpy(to + at, line, strlen(line));
    at += strlen(line);
  }
  if (fuzz_random(32) == 0) {
    __u32 size = fuzz_random(9000);
    memcpy(to + at, "y: ", 3);
    memset(to + at + 3, 'y', size);
    memcpy(to + at + 3 + size, "\r\n", 2);
    at += size + 5;
  }
  if (fuzz_random(8)) {
    memcpy(to + at, "\r\n", 2);
    at += 2;
  }
  if (fuzz_random(4) == 0) at = add_fragment(to, at);
  if (fuzz_random(4) == 0) to[fuzz_random(at)] ^= 1 << fuzz_random(8);
  return at;
}

static void fuzz_heads(void) {
  static const __u8 OK_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  static __u8 head[32768];
  run_state(1, TCP_SYN_SENT, 0);
  for (__u32 turns = 1 + fuzz_random(3); turns--;) {
    __u32 size = fuzz_head(head), room = fuzz_random(8) ? 16384 : fuzz_random(size + 100), out_size = 0;
    __u8 *out = fuzz_message(1, head, size, room, &out_size);
    check_head(head, size, out, out_size);
    free(out);
    fuzz_taken(1, head, size, out_size, room);
    struct transfer_call answer = {.socket = 1, .bytes = OK_HEAD, .size = sizeof OK_HEAD - 1, .moved = sizeof OK_HEAD - 1};
    if (fuzz_random(4)) run_transfer(&answer);
    host_next_address = 0x7f0000100000;
  }
}

static __u32 fuzz_frame(__u8 *to) {
  static const __u32 LENGTHS[] = {0, 1, 8, 40, 300, 2000, 16314, 16315, 16316, 16384};
  __u32 length = LENGTHS[fuzz_random(fuzz_random(8) ? 6 : 10)], id = 1 + 2 * fuzz_random(FUZZ_STREAMS);
  to[0] = length >> 16;
  to[1] = length >> 8;
  to[2] = length;
  to[3] = fuzz_random(2) ? FRAME_HEADERS : fuzz_random(12);
  to[4] = fuzz_random(3) ? FRAME_END_HEADERS | fuzz_random(2) : fuzz_random(256);
  *(__u32 *)(to + 5) = __builtin_bswap32(id);
  for (__u32 i = 0; i < length; i++) to[FRAME_HEADER + i] = i * 7 + id;
  return FRAME_HEADER + length;
}

static __u32 frame_length(const __u8 *f) { return f[0] << 16 | f[1] << 8 | f[2]; }

// What RFC 7541 §6.2.3 makes of a tracestate that the stream's caller has; its bytes.
static __u32 expected_state(const struct announced *a, __u8 *to) {
  __u64 id = a->parent[0] | (__u64)a->parent[1] << 32;
  struct trace_state *t = bpf_map_lookup_elem(&trace_states, &id);
  if (!id || !t || a->state) return 0;
  __u32 at = 12;
  memcpy(to, "\x10\x0atracestate", at);
  if (t->size < 127) {
    to[at++] = t->size;
  } else {
    to[at++] = 127;
    to[at++] = t->size - 127; // below 128: no further byte
  }
  memcpy(to + at, t->text, t->size);
  return at + t->size;
}

// Frame by frame: as it came, or with the field of its own stream at the end.
static void check_frames(const __u8 *in, __u32 size, const __u8 *out, __u32 out_size) {
  __u32 i = PREFACE_SIZE, o = PREFACE_SIZE;
  if (size < i || memcmp(in, out, i)) fuzz_differs("The preface was changed", in, size, out, out_size);
  while (i + FRAME_HEADER <= size) {
    __u32 length = frame_length(in + i), added = 0;
    if (o + FRAME_HEADER > out_size) fuzz_differs("Frames are missing", in, size, out, out_size);
    if (frame_length(out + o) != length) {
      __u8 state[2 * TRACE_STATE_BUFFER];
      __u32 state_size = 0;
      __u32 id = __builtin_bswap32(*(__u32 *)(in + i + 5)) & 0x7fffffff;
      struct stream_key key = {.store = 1, .process = process_key(), .id = id};
      struct announced *a = find_announcement(&key);
      __u8 field[TRACEPARENT_FIELD];
      if (a) state_size = expected_state(a, state);
      added = TRACEPARENT_FIELD + state_size;
      if (!a || a->as != ANNOUNCED_NEW || !a->written || in[i + 3] != FRAME_HEADERS ||
          (in[i + 4] & (FRAME_END_HEADERS | FRAME_PADDED | FRAME_PRIORITY)) != FRAME_END_HEADERS ||
          frame_length(out + o) != length + added || length + added > FRAME_LIMIT)
        fuzz_differs("A frame has another length", in, size, out, out_size);
      put_field(field, a->ids, a->trace_flags);
      const __u8 *end = out + o + FRAME_HEADER + length;
      if (memcmp(end, field, sizeof field) || field[13] != 55 || !is_value(field + 14) ||
          memcmp(end + sizeof field, state, state_size))
        fuzz_differs("A field is not its stream's", in, size, out, out_size);
      fuzz_added[1]++;
    }
    __u32 whole = FRAME_HEADER + length, left = size - i < whole ? size - i : whole;
    if (memcmp(in + i + 3, out + o + 3, left - 3)) fuzz_differs("A frame was changed", in, size, out, out_size);
    i += whole;
    o += whole + added;
  }
}

#define FUZZ_STATES 8

static void fuzz_announce(void) {
  for (__u64 id = 1; id <= FUZZ_STATES; id++) {
    struct trace_state t = {.size = 1 + fuzz_random(TRACE_STATE)};
    memset(t.text, 'a' + id, sizeof t.text);
    bpf_map_update_elem(&trace_states, &id, &t, BPF_ANY);
  }
  for (__u32 i = 0; i < FUZZ_STREAMS; i++) {
    struct stream_key key = {.store = 1, .process = process_key(), .id = 1 + 2 * i};
    struct announced a = {.trace_flags = fuzz_random(2), .as = fuzz_random(5) ? ANNOUNCED_NEW : fuzz_random(2)};
    for (int w = 0; w < 6; w++) a.ids[w] = fuzz_random(1u << 31) | 1;
    a.parent[0] = fuzz_random(2 * FUZZ_STATES);
    a.state = fuzz_random(4) == 0;
    if (fuzz_random(5) == 0) continue;
    struct recent_key place = stream_place(&key);
    announcements_put(&place, &a);
    remember_announcer(&key);
  }
}

// A connection's frames in messages of any size; what is not taken comes again.
static void fuzz_frames(void) {
  static const __u8 PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  static __u8 stream[3 * FUZZ_MESSAGES];
  __u32 size = PREFACE_SIZE, sent = 0, out_at = 0;
  memcpy(stream, PREFACE, PREFACE_SIZE);
  for (__u32 count = 1 + fuzz_random(8); count-- && size < FUZZ_MESSAGES;) size += fuzz_frame(stream + size);
  fuzz_announce();
  run_state(1, TCP_SYN_SENT, 0);
  while (sent < size) {
    __u32 part = fuzz_random(2) ? size - sent : 1 + fuzz_random(size - sent), out_size = 0;
    if (!sent && part < PREFACE_SIZE) part = PREFACE_SIZE;
    __u32 room = fuzz_random(4) ? 60000 : fuzz_random(part + 100);
    __u8 *out = fuzz_message(1, stream + sent, part, room, &out_size);
    __s32 taken = fuzz_taken(1, stream + sent, part, out_size, room);
    if (taken) {
      memcpy(fuzz_out + out_at, out, taken + out_size - part);
      out_at += taken + out_size - part;
    }
    sent += taken;
    free(out);
    host_next_address = 0x7f0000100000;
  }
  check_frames(stream, size, fuzz_out, out_at);
}

static void run_fuzz_messages(__u64 inputs, __u64 seed) {
  static const __u32 COMMON = TARGET_CLIENT_SOCKET | TARGET_INJECT;
  for (__u64 i = 0; i < inputs; i++) {
    __u32 tgid = 1;
    struct target t = {.flags = i & 1 ? COMMON | TARGET_CLIENT_STREAMS : COMMON};
    fuzz_state = (seed + i) * 0x9e3779b97f4a7c15ULL;
    if (i % FUZZ_WORLD == 0) reset_world();
    pass_tracestate = 1;
    trace_process(tgid, &t);
    if (i & 1) fuzz_frames();
    else fuzz_heads();
    free_socket(1);
  }
  printf("%llu inputs, headers %s, fields %s\n", inputs, fuzz_added[0] ? "seen" : "not seen", fuzz_added[1] ? "seen" : "not seen");
}
