// Trace context written into plaintext requests: sk_msg sees each message of a client's socket before it is sent, in
// the thread that sends it. Whatever is not exactly as expected goes out as it is, and a counter says why.
#pragma once

// ---- the sockets ----

// A connection that a traced program has begun is established.
SEC("sockops")
int client_established(struct bpf_sock_ops *o) {
  if (o->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || !o->sk) return 1;
  struct connection *c = bpf_sk_storage_get(&connections, o->sk, 0, 0);
  if (!c || !c->out.whole) return 1;
  __u64 cookie = bpf_get_socket_cookie(o);
  if (bpf_sock_hash_update(o, &injected_sockets, &cookie, BPF_NOEXIST)) count(COUNTER_INJECT_SOCKET);
  return 1;
}

// ---- bytes ----

// The message's first bytes into scratch memory from `from` on, a constant; how many are there then.
static __always_inline __u32 load_message(struct message *g, __u32 from, __u32 wanted) {
  struct sk_msg_md *m = g->m;
  if (wanted > m->size) wanted = m->size;
  if (m->data + wanted > m->data_end && bpf_msg_pull_data(m, 0, wanted, 0)) return from;
  __u32 size = wanted - from;
  if (wanted <= from || size > WINDOW) return from;
  if (bpf_probe_read_kernel(g->s->data + from, size & (2 * WINDOW - 1), m->data + from)) return from;
  return wanted;
}

// ---- whose request it is ----

// Ids of the CLIENT span that the tracepoint behind this send is going to report; 0 when they can't be known.
static __always_inline const __u32 *ids_of_request(struct message *g, __u8 *flags, const __u32 **parent) {
  struct outgoing *out = &g->c->out;
  struct client_call *call = g->target->flags & TARGET_CALLS ? pending_call(g->process, g->task) : 0;
  if (call && call->pending == PENDING_CALL) {
    *flags = call->trace_flags;
    *parent = call->parent;
    return call->ids;
  }
  if (call && call->pending != PENDING_UNKNOWN && call->pending != PENDING_TLS) return 0;
  int by_hyper = call && call->pending == PENDING_UNKNOWN;
  if (!messages_see_threads && !g->task && !by_hyper) return 0; // only the tracepoint knows its parent
  start_unlinked(g->s, out, g->process, g->task, sure_flags(g->target), by_hyper, messages_see_threads);
  out->prepared = 1;
  *flags = out->trace_flags;
  *parent = out->parent;
  return out->ids;
}

static __always_inline int hyper_writes(struct message *g) {
  if (!(g->target->flags & TARGET_CALLS)) return 0;
  struct client_call *call = pending_call(g->process, g->task);
  return call && call->pending != PENDING_TLS;
}

enum turn { TURN_NONE, TURN_REQUEST, TURN_PIPELINED, TURN_OLD };

// May this message begin with a request? Only the tracepoint's state machine knows where bodies end.
static __always_inline int turn_of(struct message *g) {
  struct connection *c = g->c;
  if (c->role == ROLE_CLIENT) {
    if (c->tx.state != HALF_IDLE || c->rx.state >= HALF_UNTIL_CLOSE) return TURN_NONE;
    return c->received != c->answered || c->rx.state != HALF_IDLE ? TURN_PIPELINED : TURN_REQUEST;
  }
  int looks = c->role == ROLE_NEW || (c->role == ROLE_OTHER && !c->received && c->looks < MAX_LOOKS);
  if (!looks || c->received || c->tx.state != HALF_IDLE) return TURN_NONE;
  if (c->role == ROLE_NEW && c->out.whole) return TURN_REQUEST;
  return hyper_writes(g) ? TURN_REQUEST : TURN_OLD;
}

#define FIRST_LOOK 1024

// More of it into scratch memory, until its end is there.
static __always_inline void read_more(struct message *g, __u32 from, __u32 wanted) {
  struct outgoing_head *h = &g->s->outgoing;
  if (h->end || h->bad || h->size != from || g->m->size <= from) return;
  h->size = load_message(g, from, wanted);
  scan_outgoing(g->s);
}

// The head at the message's beginning; 0, counted, when it is not as expected.
static __always_inline int read_outgoing(struct message *g) {
  struct outgoing_head *h = &g->s->outgoing;
  __builtin_memset(h, 0, sizeof *h);
  read_more(g, 0, FIRST_LOOK);
  read_more(g, FIRST_LOOK, WINDOW);
  read_more(g, WINDOW, WINDOW_BUFFER);
  if (h->bad) count(COUNTER_INJECT_UNUSUAL);
  else if (!h->end && h->size < WINDOW_BUFFER && h->size < g->m->size) count(COUNTER_INJECT_MEMORY);
  else if (!h->end) count(g->m->size > h->size ? COUNTER_INJECT_LARGE : COUNTER_INJECT_PIECES);
  else return is_usual_head(h);
  return 0;
}

// 0 when the message is as it was.
static __always_inline int put_lines(struct message *g, const __u32 *ids, __u8 flags, const struct trace_state *state) {
  struct sk_msg_md *m = g->m;
  __u32 at = g->s->outgoing.first, size = TRACEPARENT_LINE + state_line_size(state);
  if (!open_gap(m, at, size)) return 0;
  if (m->data + TRACEPARENT_LINE > m->data_end) return 0;
  put_line(m->data, ids, flags);
  if (!state || put_state_line(m, state)) return 1;
  bpf_msg_pop_data(m, at, size, 0);
  return 0;
}

// A tracestate, when the head has none and there is room for it below the limits.
static __always_inline struct trace_state *state_for(const struct outgoing_head *h, const __u32 *parent, __u32 sure) {
  struct trace_state *state = h->state ? 0 : find_trace_state(parent);
  __u32 size = h->end + TRACEPARENT_LINE + state_line_size(state);
  return state && size <= WINDOW_BUFFER && size <= sure && h->headers < OUTGOING_HEADERS ? state : 0;
}

static __always_inline void write_line(struct message *g) {
  const struct outgoing_head *h = &g->s->outgoing;
  __u8 flags = 0;
  const __u32 *parent = 0;
  __u32 sure = surely_taken(g->m->sk);
  if (sure < h->end + TRACEPARENT_LINE) {
    count(COUNTER_INJECT_FULL);
    return;
  }
  const __u32 *ids = ids_of_request(g, &flags, &parent);
  if (!ids) {
    count(COUNTER_INJECT_CALL);
    return;
  }
  if (g->c->out.prepared && h->end > WINDOW) { // its span would need the head
    count(COUNTER_INJECT_LARGE);
    return;
  }
  if (!put_lines(g, ids, flags, state_for(h, parent, sure))) {
    count(COUNTER_INJECT_MEMORY);
    return;
  }
  join(g->m);
  count(COUNTER_INJECTED);
}

// What the tracepoint can't see it can't follow.
static __always_inline int is_followed_call(void) {
  struct pt_regs *regs = (void *)bpf_task_pt_regs(current_thread());
  __u64 number = regs->orig_ax;
  return number == NR_WRITE || number == NR_SENDTO || number == NR_WRITEV || number == NR_SENDMSG;
}

static __always_inline void http1_message(struct message *g) {
  int turn = turn_of(g);
  if (turn == TURN_NONE || !is_followed_call()) return;
  if (turn != TURN_REQUEST) {
    count(turn == TURN_OLD ? COUNTER_INJECT_OLD : COUNTER_INJECT_PIPELINED);
    return;
  }
  g->s = scratch_take();
  if (!g->s) return;
  if (read_outgoing(g)) write_line(g);
  scratch_give(g->s);
}

#define LOOK 16 // no head is shorter
#define CONNECT_BEGINS ('C' | 'O' << 8 | 'N' << 16 | 'N' << 24)
#define PREFACE_BEGINS ('P' | 'R' << 8 | 'I' << 16 | ' ' << 24)

// A message that may begin with a request line.
static __always_inline int is_head(struct sk_msg_md *m) {
  if (m->data + LOOK > m->data_end && (m->size < LOOK || bpf_msg_pull_data(m, 0, LOOK, 0))) return 0;
  if (m->data + LOOK > m->data_end) return 0;
  __u32 word = *(__u32 *)m->data;
  return is_request(word) && word != CONNECT_BEGINS && word != PREFACE_BEGINS;
}

SEC("sk_msg")
int client_message(struct sk_msg_md *m) {
  struct message g = {.m = m};
  g.target = current_target(&g.process);
  if (!g.target || !(g.target->flags & TARGET_INJECT) || !m->sk) return SK_PASS;
  g.c = bpf_sk_storage_get(&connections, m->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!g.c || (g.c->process && g.c->process != g.process)) return SK_PASS;
  struct outgoing *out = &g.c->out;
  out->prepared = 0;
  int first = !__sync_lock_test_and_set(&out->sending, 1); // of this send
  if (g.target->flags & TARGET_CLIENT_STREAMS && http2_message(&g, first)) return SK_PASS;
  if (!first || !is_head(m)) return SK_PASS;
  g.task = current_task_id(g.target);
  http1_message(&g);
  return SK_PASS;
}
