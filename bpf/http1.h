// HTTP/1 on one connection, of a server or a client, as a state machine over the bytes read and written.
#pragma once

static __always_inline void read_addresses(const struct sock *sk, struct addresses *a) {
  __u16 family = sk->__sk_common.skc_family;
  __builtin_memset(a, 0, sizeof *a);
  a->family = family;
  if (family != AF_INET && family != AF_INET6) return;
  a->local_port = sk->__sk_common.skc_num;
  a->peer_port = __builtin_bswap16(sk->__sk_common.skc_dport);
  if (family == AF_INET) {
    *(__u32 *)a->local = sk->__sk_common.skc_rcv_saddr;
    *(__u32 *)a->peer = sk->__sk_common.skc_daddr;
  } else {
    bpf_probe_read_kernel(a->local, 16, (void *)&sk->__sk_common.skc_v6_rcv_saddr);
    bpf_probe_read_kernel(a->peer, 16, (void *)&sk->__sk_common.skc_v6_daddr);
  }
}

// What has arrived before a reset can still be read.
static __always_inline int is_closed(const struct sock *sk) {
  __u16 family = sk->__sk_common.skc_family;
  return (family == AF_INET || family == AF_INET6) && sk->__sk_common.skc_state == TCP_CLOSE;
}

// Records of three types have them, under the same names.
#define PUT_ADDRESSES(record, from)                                                                        \
  do {                                                                                                     \
    __builtin_memcpy((record)->local_address, (from)->local, 16);                                          \
    __builtin_memcpy((record)->peer_address, (from)->peer, 16);                                            \
    (record)->family = (from)->family;                                                                     \
    (record)->local_port = (from)->local_port;                                                             \
    (record)->peer_port = (from)->peer_port;                                                               \
  } while (0)

static __always_inline int is_read_by(const struct last_read *read, __u64 task) {
  return read->connection && read->task == task;
}

static __always_inline struct event_client_response *begin_client_response(struct scratch *s, __u16 kind, __u64 now,
                                                                           __u64 connection, __u64 call,
                                                                           __u32 sequence) {
  struct event_client_response *e = &s->client_response;
  __builtin_memset(e, 0, sizeof *e);
  fill_header(&e->header, kind, now);
  e->header.connection = connection;
  e->header.sequence = sequence;
  e->call = call;
  return e;
}

static __always_inline void submit_client_response(struct event_client_response *e, __u32 data_size) {
  if (data_size > WINDOW) data_size = WINDOW;
  e->data_size = data_size;
  submit(e, sizeof *e + data_size);
}

// The functions that are not static are walked once by the verifier, not once a path that leads to them. They
// find what they work on in the scratch memory.

// No request on this connection gets an answer any more.
__noinline int report_unanswered(struct scratch *s, struct connection *c, int error, __u32 flags) {
  if (!s || !c) return 0;
  if (c->role == ROLE_CLIENT) {
    if (!(c->sampled >> ((c->received - 1) & 63) & 1)) return 0; // clients wait for one answer before they ask again
    struct event_client_response *e =
        begin_client_response(s, EVENT_CLIENT_CLOSED, s->now, c->id, c->call.id, c->received);
    e->header.tgid = c->process >> 32;
    e->header.flags = flags;
    e->error = error;
    submit_client_response(e, 0);
    return 0;
  }
  // Routes belong to the first unanswered request: with that unsampled, they are nobody's.
  __u64 owner = c->sampled >> (c->answered & 63) & 1 ? c->id : 0;
  emit_closed(s, s->now, c->id, owner, c->process, c->task, c->received, flags);
  return 0;
}

static __always_inline void begin_request_body(struct feed *f, const struct head *h) {
  struct half *half = f->requests;
  half->state = HALF_IDLE;
  if (h->method == METHOD_CONNECT) {
    half->state = HALF_WAIT;
  } else if (h->coding == CODING_CHUNKED) {
    begin_chunks(half);
  } else if (h->coding == CODING_OTHER) {
    lose(half);
  } else if (h->length) {
    half->state = HALF_LENGTH;
    half->remaining = h->length;
  }
}

static __always_inline void begin_request_record(struct feed *f, __u16 kind) {
  struct connection *c = f->c;
  struct event_request *r = &f->s->request;
  struct addresses addresses;
  fill_header(&r->header, kind, f->now);
  r->header.connection = c->id;
  r->header.task = f->task;
  r->header.sequence = c->received;
  r->start_ns = c->head_start_ns;
  r->socket = c->id;
  r->source = SOURCE_SOCKET;
  read_addresses(f->sk, &addresses);
  PUT_ADDRESSES(r, &addresses);
}

// The three that follow give 1 when the request is sampled.
__noinline int server_request(struct scratch *s, struct connection *c) {
  if (!s || !c) return 0;
  struct event_request *r = &s->request;
  int sampled = submit_request(s);
  if (s->target_flags & (TARGET_ROUTES | TARGET_CONTEXTS)) task_request(c->process, s->task, c->id, r, s->slot_site);
  if (!s->task && s->blocking && s->target_flags & TARGET_CONTEXTS) thread_request(c->id, r);
  return sampled;
}

// The whole head is in the window, or it is left out.
static __always_inline void submit_client_request(struct scratch *s, int with_head) {
  struct event_request *r = &s->request;
  __u32 size = s->scan.end;
  r->head_size = s->total + size;
  r->data_overlap = 0;
  if (s->total && with_head) count(COUNTER_HEAD_TRUNCATED);
  submit_head(s, s->total || !with_head ? 0 : size);
}

// Ids of a request that no probed client has written, or hyper for a caller that is not known. `threads`: their contexts
// can be read here.
static __always_inline void start_unlinked(struct scratch *s, struct outgoing *out, __u64 process, __u64 task, __u32 flags,
                                           int by_hyper, __u32 threads) {
  struct context *parent = 0;
  out->orphan = ORPHAN_UNLINKED;
  if (flags & TARGET_WRITER_CONTEXT && !by_hyper)
    parent = task || !threads ? task_context(process, task, &out->orphan) : thread_context(&out->orphan);
  if (parent) out->orphan = ORPHAN_NONE;
  out->sampled = start_client_trace(s, out->ids, out->parent, &out->trace_flags, parent);
}

// Of a client that no probe knows.
static __always_inline int unlinked_request(struct scratch *s, struct connection *c, int by_hyper) {
  struct event_request *r = &s->request;
  struct outgoing *out = &c->out;
  if (!out->prepared) start_unlinked(s, out, c->process, s->task, s->target_flags, by_hyper, 1);
  out->prepared = 0;
  __builtin_memset(&c->call, 0, sizeof c->call);
  __builtin_memcpy(r->trace_id, out->ids, 24);
  __builtin_memcpy(r->parent_id, out->parent, 8);
  r->trace_flags = out->trace_flags;
  r->socket = 0;
  if (!out->sampled) return 0;
  if (out->orphan == ORPHAN_NONE) r->header.flags |= FLAG_HAS_PARENT;
  else count_orphan(out->orphan);
  take_own_context(&r->header, r->trace_id, r->parent_id, &r->trace_flags, &s->scan.head);
  submit_client_request(s, 1);
  return 1;
}

__noinline int client_request(struct scratch *s, struct connection *c) {
  if (!s || !c) return 0;
  struct client_call *call = s->target_flags & TARGET_CALLS ? pending_call(c->process, s->task) : 0;
  if (!call || call->pending == PENDING_TLS) return unlinked_request(s, c, 0);
  __u8 pending = call->pending;
  call->pending = PENDING_NONE;
  if (pending == PENDING_UNKNOWN) return unlinked_request(s, c, 1);
  __builtin_memset(&c->call, 0, sizeof c->call);
  if (pending != PENDING_CALL) return 0;
  c->call = call->place;
  struct event_request *r = &s->request;
  fill_call_ids(r, call);
  take_own_context(&r->header, r->trace_id, r->parent_id, &r->trace_flags, &s->scan.head);
  if (call->sampled) submit_client_request(s, capture_client_heads);
  return call->sampled;
}

static __always_inline void request_complete(struct feed *f) {
  struct connection *c = f->c;
  struct head *h = &f->s->scan.head;
  __u64 bit = 1ULL << (c->received & 63);
  if (c->received - c->answered >= 64) {
    count(COUNTER_PIPELINE_DEEP);
    lose(&c->rx);
    lose(&c->tx);
    report_unanswered(f->s, c, 0, FLAG_LOST);
    return;
  }
  if (h->method == METHOD_HEAD) c->heads |= bit;
  else c->heads &= ~bit;
  c->connect = h->method == METHOD_CONNECT;
  if (c->received && !f->client) check_task(f->target, c->task, f->task);
  c->task = f->task;
  begin_request_record(f, f->client ? EVENT_CLIENT_REQUEST : EVENT_REQUEST);
  if (f->client) {
    __sync_fetch_and_add(&f->target->client_plaintext, 1);
    needs_tasks(f->target);
  } else {
    __sync_fetch_and_add(&f->target->plaintext, 1);
  }
  if (f->client ? client_request(f->s, c) : server_request(f->s, c)) c->sampled |= bit;
  else c->sampled &= ~bit;
  if (f->client && !c->call.id) __sync_fetch_and_add(&f->target->unlinked, 1);
  c->received++;
  if (c->closed || is_closed(f->sk)) report_unanswered(f->s, c, f->sk->sk_err, 0);
  begin_request_body(f, h);
}

// Where an incomplete head waits for the rest.
static __always_inline struct partial *partial_of(struct feed *f, const struct half *half) {
  if (!f->partials) f->partials = bpf_sk_storage_get(&partial_heads, f->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!f->partials) {
    count(COUNTER_MAP_FULL);
    return 0;
  }
  return half == &f->c->rx ? &f->partials->rx : &f->partials->tx;
}

static __always_inline int request_head_step(struct feed *f) {
  struct connection *c = f->c;
  int result = head_step(f);
  if (result == HEAD_DONE) {
    finish_head(f);
    request_complete(f);
    if (!f->s->left) return 1;
    begin_head(f, 0);
    return 0;
  }
  if (result == HEAD_BAD) {
    if (f->s->scan.head.http2 && !(f->s->target_flags & (TARGET_STREAMS | TARGET_CLIENT_STREAMS))) count(COUNTER_HTTP2);
    if (f->s->sent) emit_head_dropped(f->now, c->id);
    if ((c->role == ROLE_NEW && !c->received) || f->s->scan.head.http2) c->role = ROLE_OTHER;
    f->requests->state = HALF_UNKNOWN;
    return 1;
  }
  if (result == HEAD_MORE && f->s->have < WINDOW) return 0;
  if (!f->s->scan.head.started && f->s->scan.line == f->s->have) { // empty lines: no request has begun
    if (f->s->sent) emit_head_dropped(f->now, c->id);
    f->requests->state = HALF_IDLE;
    f->s->left = 0;
    return 1;
  }
  if (!f->client) emit_piece(f, c->id);
  if (result == HEAD_MORE) {
    slide_window(f);
    return 0;
  }
  struct partial *p = partial_of(f, f->requests);
  if (!p) return lose(f->requests);
  suspend_head(f, p);
  return 1;
}

static long request_step(__u32 index, struct feed *f) {
  struct half *half = f->requests;
  if (!f->s->left) return 1;
  switch (half->state) {
  case HALF_IDLE:
    half->state = HALF_HEAD;
    f->c->head_start_ns = f->now;
    return request_head_step(f);
  case HALF_HEAD:
    return request_head_step(f);
  case HALF_LENGTH:
    return skip_body(f, half, HALF_IDLE);
  case HALF_CHUNKED:
    return chunk_step(f, half);
  case HALF_WAIT: // bytes behind CONNECT before its answer: only a tunnel can make sense of them
    f->c->connect = 2;
    return 1;
  default:
    return 1;
  }
}

static __always_inline void begin_response_body(struct feed *f, const struct head *h, __u32 sequence) {
  struct connection *c = f->c;
  struct half *half = f->responses;
  int is_head = c->heads >> (sequence & 63) & 1;
  half->state = HALF_IDLE;
  if (h->status == 101 || (c->connect && h->status / 100 == 2 && c->received == c->answered)) {
    f->requests->state = half->state = HALF_TUNNEL;
    return;
  }
  if (f->requests->state == HALF_WAIT && c->received == c->answered)
    f->requests->state = c->connect == 2 ? HALF_UNKNOWN : HALF_IDLE;
  if (is_head || h->status == 204 || h->status == 304) return;
  if (h->coding == CODING_CHUNKED) {
    begin_chunks(half);
  } else if (h->has_length && h->coding == CODING_NONE) {
    half->remaining = h->length;
    if (h->length) half->state = HALF_LENGTH;
  } else {
    half->state = HALF_UNTIL_CLOSE;
  }
}

__noinline int server_response(struct scratch *s, struct connection *c, __u32 sequence) {
  if (!s || !c) return 0;
  struct event_response *e = begin_response(s, EVENT_RESPONSE, s->now, c->id, s->task, sequence);
  e->status = s->scan.head.status;
  if (s->target_flags & (TARGET_ROUTES | TARGET_CONTEXTS)) {
    take_routes(e, c->process, c->task, c->id);
    if (c->local && c->received == c->answered) task_forget(c->process, c->task, c->id);
  }
  if (!c->task && s->target_flags & TARGET_CONTEXTS) thread_answered(c->id);
  if (!(c->sampled >> (sequence & 63) & 1)) return 0;
  __u32 size = s->scan.end;
  if (capture_response_heads && size <= WINDOW) {
    e->data_size = size;
    submit(e, sizeof *e + size);
  } else {
    submit_response(e);
  }
  return 0;
}

// Heads of redirections tell where the next request goes.
static __always_inline __u64 client_data_size(const struct scratch *s) {
  int wanted = capture_client_heads || s->scan.head.status / 100 == 3;
  return wanted && !s->total && s->scan.end <= WINDOW ? s->scan.end : 0;
}

__noinline int client_response(struct scratch *s, struct connection *c, __u32 sequence) {
  if (!s || !c) return 0;
  call_answered(c->process, &c->call);
  if (!(c->sampled >> (sequence & 63) & 1)) return 0;
  struct event_client_response *e =
      begin_client_response(s, EVENT_CLIENT_RESPONSE, s->now, c->id, c->call.id, sequence);
  e->header.task = s->task;
  e->status = s->scan.head.status;
  submit_client_response(e, client_data_size(s));
  return 0;
}

// RFC 9110 §15.2: the final response follows.
static __always_inline int is_interim(const struct head *h) { return h->status / 100 == 1 && h->status != 101; }

static __always_inline void response_complete(struct feed *f) {
  struct connection *c = f->c;
  struct head *h = &f->s->scan.head;
  __u32 sequence = c->answered;
  if (is_interim(h)) {
    f->responses->state = HALF_IDLE;
    return;
  }
  c->answered++;
  if (f->client) client_response(f->s, c, sequence);
  else server_response(f->s, c, sequence);
  begin_response_body(f, h, sequence);
}

static __always_inline int response_head_step(struct feed *f) {
  struct connection *c = f->c;
  struct half *half = f->responses;
  if (c->received == c->answered) { // an answer to something that was no request: a time-out, garbage
    half->state = HALF_UNKNOWN;
    return 1;
  }
  int result = head_step(f);
  if (result == HEAD_DONE) {
    finish_head(f);
    response_complete(f);
    if (!f->s->left) return 1;
    begin_head(f, 1);
    return 0;
  }
  if (result == HEAD_BAD) return lose(half);
  if (result == HEAD_MORE) {
    if (f->s->have >= WINDOW) slide_window(f);
    return 0;
  }
  struct partial *p = partial_of(f, half);
  if (!p) return lose(half);
  suspend_head(f, p);
  return 1;
}

static long response_step(__u32 index, struct feed *f) {
  struct half *half = f->responses;
  if (!f->s->left) return 1;
  switch (half->state) {
  case HALF_IDLE:
    half->state = HALF_HEAD;
    return response_head_step(f);
  case HALF_HEAD:
    return response_head_step(f);
  case HALF_LENGTH:
    return skip_body(f, half, HALF_IDLE);
  case HALF_CHUNKED:
    return chunk_step(f, half);
  default:
    return 1;
  }
}
