// Socket tier: HTTP/1 in plaintext, seen where the process reads and writes its sockets.
#pragma once

enum direction { DIRECTION_READ = 0, DIRECTION_WRITE = 1 };

enum syscall_number { // arch/x86/entry/syscalls/syscall_64.tbl
  NR_READ = 0, NR_WRITE = 1, NR_READV = 19, NR_WRITEV = 20, NR_SENDTO = 44, NR_RECVFROM = 45,
  NR_SENDFILE = 40, NR_SENDMSG = 46, NR_RECVMSG = 47,
};

#define MSG_ERRQUEUE 0x2000
#define PF_EXITING 0x4
#define MAX_SEGMENTS 1024 // UIO_MAXIOV

// The user buffers of the system call that moves the bytes.
struct buffers {
  __u64 iovec; // array of struct iovec, 0 when there is one buffer
  __u64 base;
  __u32 count;
  __u32 unused;
};

static __always_inline int find_buffers(struct buffers *b) {
  struct pt_regs *regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
  __u64 number = regs->orig_ax, argument = regs->si;
  b->iovec = b->base = 0;
  b->count = 1;
  if (number == NR_READ || number == NR_WRITE || number == NR_SENDTO || number == NR_RECVFROM) {
    b->base = argument;
    return 1;
  }
  if (number == NR_READV || number == NR_WRITEV) {
    b->iovec = argument;
    b->count = regs->dx;
    return 1;
  }
  if (number == NR_SENDMSG || number == NR_RECVMSG) {
    struct user_msghdr m;
    if (bpf_probe_read_user(&m, sizeof m, (void *)argument)) return 0;
    b->iovec = (__u64)m.msg_iov;
    b->count = m.msg_iovlen;
    return 1;
  }
  if (number != NR_SENDFILE) count(COUNTER_SYSCALL_UNKNOWN);
  return 0;
}

// The first bytes moved, for a look at what the connection speaks.
static __always_inline __u64 peek(const struct buffers *b, __u32 size) {
  __u64 word = 0, base = b->base;
  if (b->iovec) {
    struct iovec v;
    if (bpf_probe_read_user(&v, sizeof v, (void *)b->iovec)) return 0;
    base = (__u64)v.iov_base;
    if (v.iov_len < size) size = v.iov_len;
  }
  if (!base) return 0;
  if (size >= 8) bpf_probe_read_user(&word, 8, (void *)base);
  else if (size) bpf_probe_read_user(&word, size & 7, (void *)base);
  return word;
}

struct transfer {
  struct feed feed;
  __u64 iovec; // 0: one buffer, at base
  __u64 base;
  __u32 bytes; // moved and not fed yet
  __u32 count;
};

// What is written can't be followed any more: nothing that is read from here on could be answered.
static __always_inline void end_followed(struct feed *f) {
  struct connection *c = f->c;
  c->rx.state = HALF_UNKNOWN;
  if (c->received == c->answered) return;
  emit_closed(f->s, f->now, c->id, c->id, c->tgid, c->task, c->received, FLAG_LOST);
  c->answered = c->received;
}

static __always_inline void feed_piece(struct transfer *t, __u64 pointer, __u32 size, int direction) {
  struct feed *f = &t->feed;
  struct half *half = direction == DIRECTION_READ ? &f->c->rx : &f->c->tx;
  f->s->pointer = pointer;
  f->s->left = size;
  begin_head(f, direction);
  if (half->state == HALF_HEAD && f->partials)
    resume_head(f, direction == DIRECTION_READ ? &f->partials->rx : &f->partials->tx);
  if (direction == DIRECTION_READ) bpf_loop(FEED_STEPS, request_step, f, 0);
  else bpf_loop(FEED_STEPS, response_step, f, 0);
  if (f->s->left && half->state < HALF_UNTIL_CLOSE) lose(half); // more chunks than steps
}

static __always_inline int feed_segment(__u32 index, struct transfer *t, int direction) {
  struct connection *c = t->feed.c;
  struct half *half = direction == DIRECTION_READ ? &c->rx : &c->tx;
  struct iovec v;
  if (index >= t->count || !t->bytes) return 1;
  if (half->state == HALF_LENGTH && half->remaining >= t->bytes) { // body to the end: where it lies is no matter
    half->remaining -= t->bytes;
    t->bytes = 0;
    if (!half->remaining) half->state = HALF_IDLE;
    return 1;
  }
  if (direction == DIRECTION_WRITE && !t->iovec) {
    v.iov_base = (void *)t->base;
    v.iov_len = t->bytes;
  } else if (bpf_probe_read_user(&v, sizeof v, (void *)(t->iovec + index * sizeof v))) {
    count(COUNTER_READ_FAILED);
    return 1;
  }
  __u32 size = v.iov_len < t->bytes ? v.iov_len : t->bytes;
  t->bytes -= size;
  if (size) feed_piece(t, (__u64)v.iov_base, size, direction);
  return 0;
}

static long read_segment(__u32 index, struct transfer *t) { return feed_segment(index, t, DIRECTION_READ); }
static long write_segment(__u32 index, struct transfer *t) { return feed_segment(index, t, DIRECTION_WRITE); }

static __always_inline void feed_all(struct connection *c, struct sock *sk, struct target *target,
                                     const struct buffers *b, __u32 bytes, int direction, __u64 task) {
  struct transfer t = {};
  t.feed.c = c;
  t.feed.sk = sk;
  t.feed.target = target;
  t.feed.now = bpf_ktime_get_ns();
  t.feed.task = task;
  struct half *half = direction == DIRECTION_READ ? &c->rx : &c->tx;
  if (half->state == HALF_HEAD) t.feed.partials = bpf_sk_storage_get(&partial_heads, sk, 0, 0);
  t.feed.s = scratch_take();
  if (!t.feed.s) {
    lose(half);
    return;
  }
  t.iovec = b->iovec;
  t.bytes = bytes;
  t.count = b->count;
  t.base = b->base;
  // Writes go one way for either kind of buffer, which the verifier walks in half the time (37,000 instructions
  // instead of 55,000); reads don't: 982,000 instead of 73,000.
  if (direction == DIRECTION_READ && !b->iovec) feed_piece(&t, b->base, bytes, direction);
  else if (direction == DIRECTION_READ) bpf_loop(MAX_SEGMENTS, read_segment, &t, 0);
  else bpf_loop(MAX_SEGMENTS, write_segment, &t, 0);
  if (b->iovec && t.bytes && half->state < HALF_UNTIL_CLOSE) lose(half); // an unreadable vector
  if (direction == DIRECTION_WRITE && half->state == HALF_UNKNOWN) end_followed(&t.feed);
  scratch_give(t.feed.s);
}

#define TLS_HANDSHAKE 22

// TLSPlaintext: type 20–23, legacy version 3.0–3.4 (RFC 8446 §5.1).
static __always_inline int is_tls(__u64 word) {
  __u8 type = word, major = word >> 8, minor = word >> 16;
  return type >= 20 && type <= 23 && major == 3 && minor <= 4;
}

// A request line is sent by a client.
static __always_inline int is_request(__u64 word) {
  __u32 w = word;
  return w == ('G' | 'E' << 8 | 'T' << 16 | ' ' << 24) || w == ('P' | 'O' << 8 | 'S' << 16 | 'T' << 24) ||
         w == ('P' | 'U' << 8 | 'T' << 16 | ' ' << 24) || w == ('H' | 'E' << 8 | 'A' << 16 | 'D' << 24) ||
         w == ('D' | 'E' << 8 | 'L' << 16 | 'E' << 24) || w == ('P' | 'A' << 8 | 'T' << 16 | 'C' << 24) ||
         w == ('O' | 'P' << 8 | 'T' << 16 | 'I' << 24) || w == ('C' | 'O' << 8 | 'N' << 16 | 'N' << 24) ||
         w == ('T' | 'R' << 8 | 'A' << 16 | 'C' << 24) || w == ('P' | 'R' << 8 | 'I' << 16 | ' ' << 24);
}

static __always_inline int is_response(__u64 word) { return (word & 0x00ffffffffffffffULL) == HTTP_1; }

static __always_inline struct connection *connection_of(struct sock *sk, __u32 tgid) {
  struct connection *c = bpf_sk_storage_get(&connections, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!c) {
    count(COUNTER_MAP_FULL);
    return 0;
  }
  if (!c->id) {
    c->id = new_connection_id();
    c->tgid = tgid;
  }
  return c;
}

static __always_inline void remember_for_library(struct connection *c, struct sock *sk, __u64 task, int by_socket) {
  struct thread *t = bpf_task_storage_get(&threads, bpf_get_current_task_btf(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!t) {
    count(COUNTER_MAP_FULL);
    return;
  }
  t->task = task;
  t->closed = is_closed(sk);
  if (t->connection == c->id && t->by_socket == by_socket) return;
  t->connection = c->id;
  t->tls = c->role == ROLE_TLS;
  t->by_socket = by_socket;
  read_addresses(sk, &t->addresses);
}

// Says what a connection is by the first bytes read from it.
static __always_inline void classify_read(struct connection *c, __u64 word) {
  if (is_tls(word) || word == TLS_HANDSHAKE) c->role = ROLE_TLS; // perhaps the first byte alone
  else if (is_response(word)) c->role = ROLE_OTHER;
}

// A client begins: its hello is the first message (RFC 8446 §5.1 and §4). Several at once may count as one.
static __always_inline void notice_tls(struct target *target, __u64 word) {
  if ((__u8)word != TLS_HANDSHAKE) return;
  target->tls++;
  if (target->flags & TARGET_WATCH_TLS) emit_process(EVENT_TLS, 0);
}

static __always_inline void socket_read(struct connection *c, struct sock *sk, struct target *target,
                                        const struct buffers *b, __u32 bytes) {
  __u64 task = current_task_id(target);
  if (c->role == ROLE_NEW) {
    __u64 word = peek(b, bytes);
    classify_read(c, word);
    if (c->role == ROLE_TLS) notice_tls(target, word);
  }
  int http = c->role == ROLE_NEW || c->role == ROLE_SERVER;
  if (target->flags & TARGET_SOCKET && http) {
    int fresh = c->role == ROLE_NEW;
    feed_all(c, sk, target, b, bytes, DIRECTION_READ, task);
    if (fresh && c->role == ROLE_NEW && (c->received || c->rx.state != HALF_UNKNOWN)) c->role = ROLE_SERVER;
    http = c->role == ROLE_SERVER;
  } else {
    http = 0;
  }
  if (target->flags & TARGET_LIBRARY) remember_for_library(c, sk, task, http);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_received, struct sock *sk, int bytes, int flags) {
  __u32 tgid;
  struct target *target = current_target(&tgid);
  if (!target || bytes <= 0 || flags & (MSG_PEEK | MSG_ERRQUEUE)) return 0;
  struct connection *c = connection_of(sk, tgid);
  struct buffers b;
  if (!c || c->role == ROLE_OTHER) return 0;
  if (c->role == ROLE_SERVER && c->rx.state >= HALF_UNTIL_CLOSE && c->rx.state != HALF_WAIT &&
      !(target->flags & TARGET_LIBRARY))
    return 0;
  if (!find_buffers(&b)) {
    if (c->role == ROLE_SERVER) lose(&c->rx);
    return 0;
  }
  socket_read(c, sk, target, &b, bytes);
  return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_sent, struct sock *sk, int bytes, int flags) {
  __u32 tgid;
  struct target *target = current_target(&tgid);
  if (!target || bytes <= 0) return 0;
  struct connection *c = connection_of(sk, tgid);
  struct buffers b;
  if (!c) return 0;
  if (c->role == ROLE_NEW) {
    if (!find_buffers(&b)) return 0;
    __u64 word = peek(&b, bytes);
    if (is_request(word) || is_tls(word)) c->role = is_request(word) ? ROLE_OTHER : ROLE_TLS;
    return 0;
  }
  if (c->role != ROLE_SERVER || !(target->flags & TARGET_SOCKET)) return 0;
  if (c->tx.state >= HALF_UNTIL_CLOSE) return 0;
  if (!find_buffers(&b)) {
    b.iovec = b.base = 0; // sendfile, splice: bytes of a body
    b.count = 1;
  }
  feed_all(c, sk, target, &b, bytes, DIRECTION_WRITE, c->task);
  return 0;
}

// The library's connection above a socket.
struct owner {
  __u64 id;
  __u64 task;
};

// Forgets what a library knows of a socket; 1 when the library reports it: its open request ends with it.
static __always_inline int close_library(__u64 socket, struct owner *owner) {
  struct library_key *key = bpf_map_lookup_elem(&library_sockets, &socket);
  if (!key) return 0;
  struct library_key copy = *key;
  struct library_connection *l = bpf_map_lookup_elem(&library_connections, &copy);
  int reported = l && l->socket == socket && !l->by_socket;
  if (reported) {
    owner->id = l->id;
    owner->task = l->task;
  }
  if (l && l->socket == socket) bpf_map_delete_elem(&library_connections, &copy);
  bpf_map_delete_elem(&library_sockets, &socket);
  return reported;
}

// No byte of a response can follow once the own side is shut: FIN_WAIT1, LAST_ACK, CLOSING, CLOSE.
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state, struct sock *sk, int old_state, int new_state) {
  if (new_state != TCP_FIN_WAIT1 && new_state != TCP_LAST_ACK && new_state != TCP_CLOSING && new_state != TCP_CLOSE)
    return 0;
  struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
  if (!c || c->closed || !c->id) return 0;
  struct owner owner = {.id = c->id, .task = c->task};
  c->closed = 1;
  if (c->role == ROLE_TLS || c->role == ROLE_NEW) {
    __u8 yes = 1;
    bpf_map_update_elem(&closed_sockets, &c->id, &yes, BPF_ANY);
  }
  int library = close_library(c->id, &owner);
  int server = c->role == ROLE_SERVER && (c->received != c->answered || c->rx.state == HALF_HEAD);
  if (library || server) {
    struct task_struct *thread = bpf_get_current_task_btf();
    int exiting = (__u32)thread->tgid == c->tgid && thread->flags & PF_EXITING;
    struct scratch *s = scratch_take();
    if (s) {
      emit_closed(s, bpf_ktime_get_ns(), c->id, owner.id, c->tgid, owner.task, c->received,
                  exiting ? FLAG_EXITING : 0);
      scratch_give(s);
    }
  }
  if (library || c->role == ROLE_SERVER) task_forget(c->tgid, owner.task, owner.id);
  return 0;
}
