// HTTP/2 that is about to be sent: frames are followed from message to message, RFC 9113 §4.1, and a field is put at the
// end of a complete HEADERS frame (§6.2) whose stream was announced.
#pragma once

struct message {
  struct sk_msg_md *m;
  struct connection *c;
  struct target *target;
  struct scratch *s;
  __u64 process;
  __u64 task;
};

#define PREFACE_SIZE 24
#define FRAME_HEADER 9
#define FRAME_LIMIT 16384 // every peer takes frames of that size: §4.2
#define FRAMES_A_MESSAGE 4096
#define FRAMES_LOOK 32        // frames of a message of an unknown connection
#define FRAME_TYPES 10        // RFC 9113 §6
#define FRAME_HEADERS 1
#define FRAME_END_HEADERS 4
#define FRAME_PADDED 8
#define FRAME_PRIORITY 0x20
#define FRAMES_REACH 65536 // all before a field is put side by side

// Bytes that the socket takes without doubt in one go: only into these may a header be written, because the kernel
// counts what it has added among what was sent. Each packet has its own overhead, so a quarter of the room.
static __always_inline __u32 surely_taken(struct bpf_sock *socket) {
  struct tcp_sock *t = bpf_skc_to_tcp_sock(socket);
  if (!t) return 0;
  struct sock *sk = &t->inet_conn.icsk_inet.sk;
  __s32 room = sk->sk_sndbuf - sk->sk_wmem_queued - 4096;
  if (room <= 0) return 0;
  __u32 lowat = t->notsent_lowat, waiting = t->write_seq - t->snd_nxt;
  if (!lowat) lowat = sk->__sk_common.skc_net.net->ipv4.sysctl_tcp_notsent_lowat;
  if (waiting >= lowat) return 0;
  __u32 sure = (__u32)room / 4;
  return sure < lowat - waiting ? sure : lowat - waiting;
}

// Makes room at `at`, in the message's first piece. 0 when that was not possible: the message is as it was.
static __always_inline int open_gap(struct sk_msg_md *m, __u32 at, __u32 size) {
  if (bpf_msg_push_data(m, at, size, 0)) return 0;
  if (!bpf_msg_pull_data(m, at, at + size, 0) && m->data + size <= m->data_end) return 1;
  bpf_msg_pop_data(m, at, size, 0);
  return 0;
}

#define JOINED 8192

// Pieces are sent one by one: a small message is cheaper as one.
static __always_inline void join(struct sk_msg_md *m) {
  if (m->size <= JOINED) bpf_msg_pull_data(m, 0, m->size, 0);
}

// The frame's header at `at` into the walk; 0 when it is not there.
static __always_inline int read_frame(struct message *g, __u32 at) {
  struct sk_msg_md *m = g->m;
  struct frame_walk *w = &g->s->walk;
  if (at + FRAME_HEADER > m->size || bpf_msg_pull_data(m, at, at + FRAME_HEADER, 0)) return 0;
  __u8 *d = m->data;
  if (m->data + FRAME_HEADER > m->data_end) return 0;
  w->length = d[0] << 16 | d[1] << 8 | d[2];
  w->type = d[3];
  w->flags = d[4];
  w->stream = (d[5] & 0x7f) << 24 | d[6] << 16 | d[7] << 8 | d[8];
  return 1;
}

// Not yet written, or by this very send, which was refused before.
static __always_inline int is_waiting(const struct message *g, const struct announced *a) {
  return !a->written || a->written == g->c->out.frames.send;
}

// 1 when a field may be put at the end of this frame; else counted.
static __always_inline int is_usual_frame(struct message *g, __u32 end, __u32 size) {
  struct frame_walk *w = &g->s->walk;
  __u32 why = COUNTER_MAX;
  if (!(w->flags & FRAME_END_HEADERS) || w->flags & (FRAME_PADDED | FRAME_PRIORITY) ||
      w->length + size > FRAME_LIMIT)
    why = COUNTER_INJECT_FRAME;
  else if (end > g->m->size) why = COUNTER_INJECT_PIECES;
  else if (end > FRAMES_REACH) why = COUNTER_INJECT_LARGE;
  else if (end + size > w->room) why = COUNTER_INJECT_FULL;
  if (why == COUNTER_MAX) return 1;
  count(why);
  return 0;
}

// Behind the frame that begins at `at`; 0 when the message is as it was.
static __always_inline int put_in_frame(struct message *g, __u32 at, __u32 end, const struct announced *a,
                                        const struct trace_state *state, __u32 size) {
  struct sk_msg_md *m = g->m;
  __u32 length = g->s->walk.length + size;
  if (bpf_msg_pull_data(m, 0, end, 0) || !open_gap(m, end, size)) return 0;
  if (m->data + TRACEPARENT_FIELD > m->data_end) return 0;
  put_field(m->data, a->ids, a->trace_flags);
  if ((state && !put_state_field(m, state)) || bpf_msg_pull_data(m, at, at + FRAME_HEADER, 0) || m->data + FRAME_HEADER > m->data_end) {
    bpf_msg_pop_data(m, end, size, 0);
    return 0;
  }
  __u8 *d = m->data;
  d[0] = length >> 16;
  d[1] = length >> 8;
  d[2] = length;
  return 1;
}

// A request's headers, or trailers: those of a stream that was written before. How many bytes were added.
static __always_inline __u32 headers_frame(struct message *g, __u32 at, __u32 end) {
  struct announced *a = find_announced(g->c->id, g->process, g->s->walk.stream);
  if (!a) {
    count(COUNTER_INJECT_STREAM);
    return 0;
  }
  if (!is_waiting(g, a)) return 0;
  a->written = g->c->out.frames.send;
  if (a->as != ANNOUNCED_NEW) {
    count(a->as == ANNOUNCED_OWN ? COUNTER_INJECT_OWN : COUNTER_INJECT_CALL);
    return 0;
  }
  struct trace_state *state = a->state ? 0 : find_trace_state(a->parent);
  __u32 size = TRACEPARENT_FIELD + state_field_size(state);
  if (!is_usual_frame(g, end, size)) return 0;
  if (!put_in_frame(g, at, end, a, state, size)) {
    count(COUNTER_INJECT_MEMORY);
    return 0;
  }
  count(COUNTER_INJECTED);
  return size;
}

static long walk_frame(__u32 index, struct message **at) {
  struct message *g = *at;
  struct frame_walk *w = &g->s->walk;
  __u32 position = w->position;
  if (position >= g->m->size) return 1;
  if (!read_frame(g, position)) {
    w->lost = 1;
    return 1;
  }
  __u32 end = position + FRAME_HEADER + w->length;
  if (w->type == FRAME_HEADERS && w->writes) {
    __u32 added = headers_frame(g, position, end);
    end += added;
    w->written |= added != 0;
  }
  w->position = end;
  return 0;
}

// The message from `skip` on. `writes`: fields may be put into it.
static __always_inline void follow_frames(struct message *g, __u64 skip, int writes) {
  struct outgoing_frames *f = &g->c->out.frames;
  if (skip >= g->m->size) {
    f->skip = skip - g->m->size;
    return;
  }
  g->s = scratch_take();
  if (!g->s) {
    f->step = FRAMES_UNKNOWN;
    return;
  }
  struct frame_walk *w = &g->s->walk;
  __builtin_memset(w, 0, sizeof *w);
  w->position = skip;
  w->writes = writes;
  w->room = writes ? surely_taken(g->m->sk) : 0;
  struct message *self = g;
  bpf_loop(FRAMES_A_MESSAGE, walk_frame, &self, 0);
  __u32 size = g->m->size;
  if (w->lost || w->position < size) {
    f->step = FRAMES_UNKNOWN;
    count(COUNTER_INJECT_STEP);
  } else {
    f->step = FRAMES_FOLLOWED;
    f->skip = w->position - size;
  }
  if (w->written) join(g->m);
  scratch_give(g->s);
}

static long look_frame(__u32 index, struct message **at) {
  struct message *g = *at;
  struct frame_walk *w = &g->s->walk;
  if (w->position >= g->m->size) return 1;
  if (!read_frame(g, w->position) || w->type >= FRAME_TYPES || w->length > FRAME_LIMIT) {
    w->lost = 1;
    return 1;
  }
  if (w->type == FRAME_HEADERS) {
    struct announced *a = find_announced(g->c->id, g->process, w->stream);
    if (a && is_waiting(g, a)) w->announced = 1;
  }
  w->position += FRAME_HEADER + w->length;
  return 0;
}

// Does the message consist of whole frames, one of them the headers of a stream that is to be written? Then a frame
// begins here.
static __always_inline int begins_frames(struct message *g) {
  g->s = scratch_take();
  if (!g->s) return 0;
  struct frame_walk *w = &g->s->walk;
  struct message *self = g;
  __builtin_memset(w, 0, sizeof *w);
  bpf_loop(FRAMES_LOOK, look_frame, &self, 0);
  int result = w->announced && !w->lost && w->position == g->m->size;
  scratch_give(g->s);
  return result;
}

static __always_inline int is_preface(struct message *g) {
  struct sk_msg_md *m = g->m;
  if (m->size < PREFACE_SIZE || bpf_msg_pull_data(m, 0, PREFACE_SIZE, 0)) return 0;
  if (m->data + PREFACE_SIZE > m->data_end) return 0;
  __u64 *w = m->data;
  return w[0] == WORD('P', 'R', 'I', ' ', '*', ' ', 'H', 'T') && w[1] == WORD('T', 'P', '/', '2', '.', '0', '\r', '\n') &&
         w[2] == WORD('\r', '\n', 'S', 'M', '\r', '\n', '\r', '\n');
}

// `first`: of its send. 1 when the message is HTTP/2.
static __always_inline int http2_message(struct message *g, int first) {
  struct outgoing_frames *f = &g->c->out.frames;
  __u64 skip = f->skip;
  if (first) {
    f->before = f->skip;
    f->step_before = f->step;
    f->size = 0;
    if (!f->send) f->send = __sync_fetch_and_add(&next_send, 1);
  }
  f->size += g->m->size;
  if (f->step == FRAMES_UNKNOWN) {
    if (!first || (g->c->role != ROLE_NEW && g->c->role != ROLE_OTHER)) return 0;
    if (is_preface(g)) skip = PREFACE_SIZE;
    else if (!begins_frames(g)) return 0;
    else skip = 0;
    f->step = FRAMES_FOLLOWED;
  }
  follow_frames(g, skip, first);
  return 1;
}
