// The HTTP/1 server side of one connection as a state machine over the bytes read and written.
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

static __always_inline void put_addresses(struct event_request *r, const struct addresses *a) {
  __builtin_memcpy(r->local_address, a->local, 16);
  __builtin_memcpy(r->peer_address, a->peer, 16);
  r->family = a->family;
  r->local_port = a->local_port;
  r->peer_port = a->peer_port;
}

static __always_inline void begin_request_body(struct connection *c, const struct head *h) {
  struct half *rx = &c->rx;
  rx->state = HALF_IDLE;
  if (h->method == METHOD_CONNECT) {
    rx->state = HALF_WAIT;
  } else if (h->coding == CODING_CHUNKED) {
    begin_chunks(rx);
  } else if (h->coding == CODING_OTHER) {
    lose(rx);
  } else if (h->length) {
    rx->state = HALF_LENGTH;
    rx->remaining = h->length;
  }
}

static __always_inline void emit_request(struct feed *f) {
  struct connection *c = f->c;
  struct event_request *r = &f->s->request;
  struct addresses addresses;
  __u64 bit = 1ULL << (c->received & 63);
  fill_header(&r->header, EVENT_REQUEST, f->now);
  r->header.connection = c->id;
  r->header.task = f->task;
  r->header.sequence = c->received;
  r->start_ns = c->head_start_ns;
  r->socket = c->id;
  r->source = SOURCE_SOCKET;
  read_addresses(f->sk, &addresses);
  put_addresses(r, &addresses);
  if (submit_request(f)) c->sampled |= bit;
  else c->sampled &= ~bit;
}

static __always_inline void request_complete(struct feed *f) {
  struct connection *c = f->c;
  struct head *h = &f->s->scan.head;
  __u64 bit = 1ULL << (c->received & 63);
  if (c->received - c->answered >= 64) {
    count(COUNTER_PIPELINE_DEEP);
    lose(&c->rx);
    lose(&c->tx);
    emit_closed(f->s, f->now, c->id, c->id, c->tgid, f->task, c->received, FLAG_LOST);
    return;
  }
  if (h->method == METHOD_HEAD) c->heads |= bit;
  else c->heads &= ~bit;
  c->connect = h->method == METHOD_CONNECT;
  c->task = f->task;
  f->target->plaintext++;
  emit_request(f);
  if (f->target->flags & TARGET_ROUTES) task_request(c->tgid, f->task, c->id);
  c->received++;
  if (c->closed || is_closed(f->sk)) emit_closed(f->s, f->now, c->id, c->id, c->tgid, f->task, c->received, 0);
  begin_request_body(c, h);
}

static __always_inline int request_head_step(struct feed *f) {
  struct connection *c = f->c;
  int result = head_step(f);
  if (result == HEAD_DONE) {
    finish_head(f);
    request_complete(f);
    begin_head(f, 0);
    return 0;
  }
  if (result == HEAD_BAD) {
    if (f->s->scan.head.http2) count(COUNTER_HTTP2);
    if (f->s->sent) emit_head_dropped(f->now, c->id);
    if ((c->role == ROLE_NEW && !c->received) || f->s->scan.head.http2) c->role = ROLE_OTHER;
    c->rx.state = HALF_UNKNOWN;
    return 1;
  }
  if (result == HEAD_MORE && f->s->have < WINDOW) return 0;
  if (!f->s->scan.head.started && f->s->scan.line == f->s->have) { // empty lines: no request has begun
    if (f->s->sent) emit_head_dropped(f->now, c->id);
    c->rx.state = HALF_IDLE;
    f->s->left = 0;
    return 1;
  }
  emit_piece(f, c->id);
  if (result == HEAD_MORE) {
    slide_window(f);
    return 0;
  }
  if (!f->partials) f->partials = bpf_sk_storage_get(&partial_heads, f->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!f->partials) {
    count(COUNTER_MAP_FULL);
    return lose(&c->rx);
  }
  suspend_head(f, &f->partials->rx);
  return 1;
}

static long request_step(__u32 index, struct feed *f) {
  struct half *rx = &f->c->rx;
  if (!f->s->left) return 1;
  switch (rx->state) {
  case HALF_IDLE:
    rx->state = HALF_HEAD;
    f->c->head_start_ns = f->now;
    return request_head_step(f);
  case HALF_HEAD:
    return request_head_step(f);
  case HALF_LENGTH:
    return skip_body(f, rx, HALF_IDLE);
  case HALF_CHUNKED:
    return chunk_step(f, rx);
  case HALF_WAIT: // bytes behind CONNECT before its answer: only a tunnel can make sense of them
    f->c->connect = 2;
    return 1;
  default:
    return 1;
  }
}

static __always_inline void begin_response_body(struct connection *c, const struct head *h, __u32 sequence) {
  struct half *tx = &c->tx;
  int is_head = c->heads >> (sequence & 63) & 1;
  tx->state = HALF_IDLE;
  if (h->status == 101 || (c->connect && h->status / 100 == 2 && c->received == c->answered)) {
    c->rx.state = tx->state = HALF_TUNNEL;
    return;
  }
  if (c->rx.state == HALF_WAIT && c->received == c->answered) c->rx.state = c->connect == 2 ? HALF_UNKNOWN : HALF_IDLE;
  if (is_head || h->status == 204 || h->status == 304) return;
  if (h->coding == CODING_CHUNKED) {
    begin_chunks(tx);
  } else if (h->has_length && h->coding == CODING_NONE) {
    tx->remaining = h->length;
    if (h->length) tx->state = HALF_LENGTH;
  } else {
    tx->state = HALF_UNTIL_CLOSE;
  }
}

static __always_inline void response_complete(struct feed *f) {
  struct connection *c = f->c;
  struct head *h = &f->s->scan.head;
  __u32 sequence = c->answered;
  if (h->status / 100 == 1 && h->status != 101) {
    c->tx.state = HALF_IDLE; // RFC 9110 §15.2: an interim response, the final one follows
    return;
  }
  c->answered++;
  struct event_response *e = begin_response(f->s, EVENT_RESPONSE, f->now, c->id, f->task, sequence);
  e->status = h->status;
  if (f->target->flags & TARGET_ROUTES) take_routes(e, c->tgid, c->task, c->id);
  if (c->sampled >> (sequence & 63) & 1) {
    __u32 size = f->s->scan.end;
    if (capture_response_heads && size <= WINDOW) {
      e->data_size = size;
      submit(e, sizeof *e + size);
    } else {
      submit_response(e);
    }
  }
  begin_response_body(c, h, sequence);
}

static __always_inline int response_head_step(struct feed *f) {
  struct connection *c = f->c;
  if (c->received == c->answered) { // an answer to something that was no request: a time-out, garbage
    c->tx.state = HALF_UNKNOWN;
    return 1;
  }
  int result = head_step(f);
  if (result == HEAD_DONE) {
    finish_head(f);
    response_complete(f);
    begin_head(f, 1);
    return 0;
  }
  if (result == HEAD_BAD) {
    return lose(&c->tx);
  }
  if (result == HEAD_MORE) {
    if (f->s->have >= WINDOW) slide_window(f);
    return 0;
  }
  if (!f->partials) f->partials = bpf_sk_storage_get(&partial_heads, f->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!f->partials) {
    count(COUNTER_MAP_FULL);
    return lose(&c->tx);
  }
  suspend_head(f, &f->partials->tx);
  return 1;
}

static long response_step(__u32 index, struct feed *f) {
  struct half *tx = &f->c->tx;
  if (!f->s->left) return 1;
  switch (tx->state) {
  case HALF_IDLE:
    tx->state = HALF_HEAD;
    return response_head_step(f);
  case HALF_HEAD:
    return response_head_step(f);
  case HALF_LENGTH:
    return skip_body(f, tx, HALF_IDLE);
  case HALF_CHUNKED:
    return chunk_step(f, tx);
  default:
    return 1;
  }
}
