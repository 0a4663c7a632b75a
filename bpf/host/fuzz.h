// Random streams cut at random places. What must hold for each record and after each input is checked here;
// whether the heads are right is for the comparison with the reference model.
#pragma once

static __u64 fuzz_state;
static struct transfer_call fuzz_call; // what ran when a check fails

static __u32 fuzz_random(__u32 below) {
  fuzz_state = fuzz_state * 6364136223846793005ULL + 1442695040888963407ULL;
  return (fuzz_state >> 33) % below;
}

static const char *const FRAGMENTS[] = {
    "GET / HTTP/1.1\r\n", "POST /a?b=c HTTP/1.1\r\n", "HEAD /x HTTP/1.0\n", "CONNECT a:1 HTTP/1.1\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n", "HTTP/1.1 204 No Content\r\n", "HTTP/1.0 500 x\r\n",
    "Content-Length: 5\r\n", "Content-Length: 18446744073709551615\r\n", "content-length:0\n",
    "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, CHUNKED \r\n", "Transfer-Encoding: x\r\n",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", "traceparent: 01-0af7",
    "Host: example.org\r\n", "Cookie: ", "\r\n", "\n", "\r", "\r\n\r\n", "5\r\nhello\r\n", "0\r\n\r\n",
    "fffffffffffffff\r\n", "1;a=b\r\nx\r\n", "0\r\nT: 1\r\n\r\n", "hello", "\x16\x03\x01\x02", ":", " ", "\t",
};

#define FUZZ_STREAM 40000

static __u32 add_fragment(__u8 *to, __u32 at) {
  __u32 kind = fuzz_random(64), size;
  if (kind == 0) { // a long run
    size = fuzz_random(9000);
    memset(to + at, 'a' + fuzz_random(26), size);
  } else if (kind < 4) {
    size = fuzz_random(40);
    for (__u32 i = 0; i < size; i++) to[at + i] = fuzz_random(256);
  } else {
    const char *text = FRAGMENTS[fuzz_random(sizeof FRAGMENTS / sizeof *FRAGMENTS)];
    size = strlen(text);
    memcpy(to + at, text, size);
    if (kind == 4) to[at + fuzz_random(size)] ^= 1 << fuzz_random(8);
  }
  return at + size;
}

static __u32 make_stream(__u8 *to, int response) {
  static const char *const FIRST[] = {"GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n"};
  __u32 count = 1 + fuzz_random(16), at = 0;
  if (fuzz_random(4)) memcpy(to, FIRST[response], at = strlen(FIRST[response]));
  while (count-- && at + 9000 < FUZZ_STREAM) at = add_fragment(to, at);
  return at;
}

struct fuzz_connection {
  __u64 id;
  __u32 requests, answers;
  int lost;
};
static struct fuzz_connection fuzz_seen;

static void fuzz_fail(const char *what) {
  fprintf(stderr, "%s %s %u bytes, moved %d:", what, fuzz_call.write ? "writing" : "reading", fuzz_call.size,
          fuzz_call.moved);
  for (__u32 i = 0; i < fuzz_call.size; i++) fprintf(stderr, "%02x", fuzz_call.bytes[i]);
  fail(" ");
}

#define REQUIRE(condition)                                                                                 \
  if (!(condition)) fuzz_fail("Not so: " #condition)

static void check_request(const struct event_request *r, __u64 size) {
  REQUIRE(size == sizeof *r + r->data_size);
  REQUIRE(r->data_size <= CAPTURE_SIZE && r->data_overlap <= r->data_size);
  if (r->header.kind == EVENT_HEAD_PIECE) return;
  const __u8 *end = (const __u8 *)r + size;
  REQUIRE(!r->data_size || end[-1] == '\n');
  REQUIRE(r->head_size + r->data_overlap >= r->data_size && r->header.time_ns >= r->start_ns);
  REQUIRE(r->header.sequence == fuzz_seen.requests);
  REQUIRE(!fuzz_seen.lost);
  fuzz_seen.requests++;
}

static void check_response(const struct event_response *e, __u64 size) {
  REQUIRE(size == __builtin_offsetof(struct event_response, route_text) + e->route_text_size);
  if (e->header.kind == EVENT_CLOSED) {
    REQUIRE(e->header.sequence == fuzz_seen.requests);
    fuzz_seen.lost |= e->header.flags & FLAG_LOST;
    return;
  }
  REQUIRE(e->header.sequence == fuzz_seen.answers && fuzz_seen.answers < fuzz_seen.requests);
  REQUIRE(e->status >= 101 && e->status <= 999 && !fuzz_seen.lost);
  fuzz_seen.answers++;
}

static void check_client_response(const struct event_client_response *e, __u64 size) {
  REQUIRE(size == sizeof *e + e->data_size && e->data_size <= CAPTURE_SIZE);
  if (e->header.kind == EVENT_CLIENT_CLOSED) {
    REQUIRE(e->header.sequence == fuzz_seen.requests);
    fuzz_seen.lost |= e->header.flags & FLAG_LOST;
    return;
  }
  REQUIRE(e->header.sequence == fuzz_seen.answers && fuzz_seen.answers < fuzz_seen.requests);
  REQUIRE(e->status >= 101 && e->status <= 999 && !fuzz_seen.lost);
  fuzz_seen.answers++;
}

// The streams of one input share a connection; sampling is on, so no number is left out.
static void check_record(const __u8 *record, __u64 size) {
  const struct event_header *h = (const void *)record;
  REQUIRE(size >= sizeof *h);
  if (h->connection != fuzz_seen.id) fuzz_seen = (struct fuzz_connection){.id = h->connection};
  if (h->kind == EVENT_REQUEST || h->kind == EVENT_HEAD_PIECE || h->kind == EVENT_CLIENT_REQUEST)
    check_request((const void *)record, size);
  else if (h->kind == EVENT_CLIENT_RESPONSE || h->kind == EVENT_CLIENT_CLOSED)
    check_client_response((const void *)record, size);
  else if (h->kind == EVENT_RESPONSE || h->kind == EVENT_CLOSED) check_response((const void *)record, size);
  else REQUIRE(h->kind == EVENT_HEAD_DROPPED && size == sizeof *h);
}

static __u32 move_piece(unsigned socket, int write, __u8 *bytes, __u32 left) {
  static __u32 pieces[8];
  __u32 size = 1 + fuzz_random(fuzz_random(3) ? left : left < 20 ? left : 20);
  struct transfer_call call = {.socket = socket, .write = write, .bytes = bytes, .size = size, .moved = size};
  call.how = fuzz_random(CALL_OTHER) + (fuzz_random(50) == 0);
  call.pieces = pieces;
  call.piece_count = fuzz_random(8);
  for (int i = 0; i < call.piece_count; i++) pieces[i] = fuzz_random(size + 1);
  if (fuzz_random(8) == 0) call.moved = 1 + fuzz_random(size);
  fuzz_call = call;
  run_transfer(&call);
  return call.moved;
}

// A server's connection reads requests and writes responses, a client's the other way round.
static void fuzz_one(unsigned socket, int client) {
  static __u8 streams[2][FUZZ_STREAM];
  __u32 size[2], at[2] = {0, 0};
  for (int w = 0; w < 2; w++) size[w] = make_stream(streams[w], w != client);
  while (at[0] < size[0] || at[1] < size[1]) {
    int w = at[0] >= size[0] || (at[1] < size[1] && fuzz_random(2));
    if (at[w] < size[w]) at[w] += move_piece(socket, w, streams[w] + at[w], size[w] - at[w]);
    host_next_address = 0x7f0000100000; // behind the thread's block
  }
  run_state(socket, TCP_CLOSE, 0);
  free_socket(socket);
}

static void run_fuzz(__u64 inputs, __u64 seed) {
  __u32 tgid = 1;
  struct target t = {.flags = TARGET_SOCKET | TARGET_CLIENT_SOCKET | TARGET_CONTEXTS};
  trace_process(tgid, &t);
  sampler_parent_unsampled = SAMPLER_ON;
  for (__u64 i = 0; i < inputs; i++) {
    fuzz_state = (seed + i) * 0x9e3779b97f4a7c15ULL;
    fuzz_one(1, i & 1);
  }
  printf("%llu inputs, %llu connections\n", inputs, next_connection - 1);
}
