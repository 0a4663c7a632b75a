// Socket tier: HTTP/1 in plaintext, of servers and clients, seen where the process reads and writes its sockets.
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

// Not static, as the one below: walked once by the verifier.
__noinline int find_buffers(struct buffers *b) {
  if (!b) return 0;
  struct pt_regs *regs = (void *)bpf_task_pt_regs(current_thread());
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
__noinline __u64 peek(const struct buffers *b, __u32 size) {
  if (!b) return 0;
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

// Responses can't be followed any more: no request from here on could be answered.
static __always_inline void end_followed(struct feed *f) {
  struct connection *c = f->c;
  f->requests->state = HALF_UNKNOWN;
  if (c->received == c->answered) return;
  report_unanswered(f->s, c, 0, FLAG_LOST);
  c->answered = c->received;
}

// `direction` and `client` are constants wherever these are called: each pair is walked by itself.
static __always_inline void feed_piece(struct transfer *t, __u64 pointer, __u32 size, int direction, int client) {
  struct feed *f = &t->feed;
  struct half *half = direction == DIRECTION_READ ? &f->c->rx : &f->c->tx;
  int responses = (direction == DIRECTION_READ) == client;
  f->s->pointer = pointer;
  f->s->left = size;
  begin_head(f, responses);
  if (half->state == HALF_HEAD && f->partials)
    resume_head(f, direction == DIRECTION_READ ? &f->partials->rx : &f->partials->tx);
  if (responses) bpf_loop(FEED_STEPS, response_step, f, 0);
  else bpf_loop(FEED_STEPS, request_step, f, 0);
  if (f->s->left && half->state < HALF_UNTIL_CLOSE) lose(half); // more chunks than steps
}

static __always_inline int feed_segment(__u32 index, struct transfer *t, int direction, int client) {
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
  if (size) feed_piece(t, (__u64)v.iov_base, size, direction, client);
  return 0;
}

static long server_read_segment(__u32 index, struct transfer *t) { return feed_segment(index, t, DIRECTION_READ, 0); }
static long server_write_segment(__u32 index, struct transfer *t) { return feed_segment(index, t, DIRECTION_WRITE, 0); }
static long client_read_segment(__u32 index, struct transfer *t) { return feed_segment(index, t, DIRECTION_READ, 1); }
static long client_write_segment(__u32 index, struct transfer *t) { return feed_segment(index, t, DIRECTION_WRITE, 1); }

struct moved {
  struct buffers buffers;
  __u64 task;
  __u32 bytes;
  int flags; // of the message: MSG_DONTWAIT for sockets that do not wait
};

static __always_inline void feed_all(struct connection *c, struct sock *sk, struct target *target,
                                     const struct moved *m, int direction, int client) {
  struct transfer t = {};
  t.feed.c = c;
  t.feed.client = client;
  t.feed.requests = (direction == DIRECTION_READ) != client ? (direction == DIRECTION_READ ? &c->rx : &c->tx)
                                                            : (direction == DIRECTION_READ ? &c->tx : &c->rx);
  t.feed.responses = (direction == DIRECTION_READ) != client ? (direction == DIRECTION_READ ? &c->tx : &c->rx)
                                                             : (direction == DIRECTION_READ ? &c->rx : &c->tx);
  t.feed.sk = sk;
  t.feed.target = target;
  t.feed.now = bpf_ktime_get_ns();
  t.feed.task = m->task;
  struct half *half = direction == DIRECTION_READ ? &c->rx : &c->tx;
  if (half->state == HALF_HEAD) t.feed.partials = bpf_sk_storage_get(&partial_heads, sk, 0, 0);
  t.feed.s = scratch_take();
  if (!t.feed.s) {
    lose(half);
    return;
  }
  t.feed.s->now = t.feed.now;
  t.feed.s->task = m->task;
  t.feed.s->target_flags = sure_flags(target);
  t.feed.s->slot_site = target->slot_site;
  t.feed.s->blocking = !(m->flags & MSG_DONTWAIT);
  t.iovec = m->buffers.iovec;
  t.bytes = m->bytes;
  t.count = m->buffers.count;
  t.base = m->buffers.base;
  if (!t.iovec) feed_piece(&t, t.base, t.bytes, direction, client);
  else if (direction == DIRECTION_READ && client) bpf_loop(MAX_SEGMENTS, client_read_segment, &t, 0);
  else if (direction == DIRECTION_READ) bpf_loop(MAX_SEGMENTS, server_read_segment, &t, 0);
  else if (client) bpf_loop(MAX_SEGMENTS, client_write_segment, &t, 0);
  else bpf_loop(MAX_SEGMENTS, server_write_segment, &t, 0);
  if (t.iovec && t.bytes && half->state < HALF_UNTIL_CLOSE) lose(half); // an unreadable vector
  if ((direction == DIRECTION_READ) == client && half->state == HALF_UNKNOWN) end_followed(&t.feed);
  scratch_give(t.feed.s);
}

#define TLS_HANDSHAKE 22

// TLSPlaintext: type 20–23, legacy version 3.0–3.4 (RFC 8446 §5.1).
static __always_inline int is_tls(__u64 word) {
  __u8 type = word, major = word >> 8, minor = word >> 16;
  return type >= 20 && type <= 23 && major == 3 && minor <= 4;
}

#define CLIENT_HELLO 1

// … of a client: the message's type is behind the record's header (RFC 8446 §4), which may have been read alone. Not static,
// as remember_early.
__noinline int is_hello(__u64 word, __u32 bytes) {
  return (__u8)word == TLS_HANDSHAKE && (bytes < 6 || (__u8)(word >> 40) == CLIENT_HELLO);
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

static __always_inline struct connection *connection_of(struct sock *sk, __u64 process) {
  struct connection *c = bpf_sk_storage_get(&connections, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (!c) {
    count(COUNTER_MAP_FULL);
    return 0;
  }
  if (!c->id) {
    c->id = new_connection_id();
    c->process = process;
    c->local = sk->__sk_common.skc_family == AF_UNIX;
  }
  return c;
}

// The first request may come with the client's last message of the handshake. Its task is woken for it, perhaps in another
// thread.
#define EARLY_READS 16

// Walked once by the verifier; and a branch on the task where it is called would have it walk all before it several times.
__noinline int remember_early(struct connection *c, struct last_read *r) {
  if (!c || !r || !r->task || c->early >= EARLY_READS) return 0;
  struct task_key key = {.task = r->task, .process = c->process};
  struct recent_key place = task_place(&key);
  c->early++;
  reads_put(&place, r);
  return 0;
}

static __always_inline void remember_for_library(struct connection *c, struct sock *sk, __u64 task, int by_socket) {
  struct thread *t = bpf_task_storage_get(&threads, current_thread(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!t) {
    count(COUNTER_MAP_FULL);
    return;
  }
  struct last_read *r = &t->read;
  r->task = task;
  r->closed = is_closed(sk);
  r->accepted = c->accepted;
  int tls = c->role == ROLE_TLS;
  if (r->connection == c->id && r->by_socket == by_socket && r->tls == tls) return;
  if (r->connection != c->id) r->above = 0;
  r->connection = c->id;
  r->tls = tls;
  r->by_socket = by_socket;
  read_addresses(sk, &r->addresses);
  if (c->accepted) remember_early(c, r);
}

#define PROXY_1 0x2059584f5250ULL          // "PROXY "
#define PROXY_2 0x510a0d000a0d0a0dULL // "\r\n\r\n\0\r\nQ"

// A load balancer's line or block before all else (PROXY protocol, §2.1 and §2.2): what follows is the connection. Some servers
// read five bytes to begin with; fewer may begin a request.
static __always_inline int is_proxy_header(__u64 word, __u32 bytes) {
  __u64 first = bytes < 6 ? 0xffffffffffULL : 0xffffffffffffULL, all = bytes < 8 ? first : ~0ULL;
  return bytes >= 5 && ((word & first) == (PROXY_1 & first) || (word & all) == (PROXY_2 & all));
}

#define LONGEST_PROXY_1 107
#define CRLF 0x0a0d
#define CRLF_CRLF 0x0a0d0a0d

// The read is the header and no more. Not static, as remember_early.
__noinline int is_proxy_header_alone(const struct buffers *b, __u64 word, __u32 bytes) {
  if (!b || !b->base || b->iovec || bytes < 16) return 0;
  if (word == PROXY_2) {
    __u16 length = 0; // big-endian, behind signature, version and family
    return !bpf_probe_read_user(&length, 2, (void *)(b->base + 14)) && bytes == 16u + __builtin_bswap16(length);
  }
  __u32 end = 0;
  if (bytes > LONGEST_PROXY_1 || bpf_probe_read_user(&end, 4, (void *)(b->base + bytes - 4))) return 0;
  return end >> 16 == CRLF && end != CRLF_CRLF;
}

// Says what a connection is by the first bytes read from it.
static __always_inline void classify_read(struct connection *c, __u64 word, __u32 bytes) {
  if (is_tls(word) || (bytes == 1 && word == TLS_HANDSHAKE)) c->role = ROLE_TLS;
  else if (is_response(word)) c->role = ROLE_OTHER;
}

// A client begins: its hello is the first message (RFC 8446 §5.1 and §4), but may have come with a PROXY header. Several at
// once may count as one.
static __always_inline void notice_tls(struct target *target, __u64 word, int proxied) {
  if ((__u8)word != TLS_HANDSHAKE && !proxied) return;
  target->tls++;
  if (target->flags & TARGET_WATCH_TLS) emit_process(EVENT_NEEDED, 0, 0);
}

static __always_inline void notice_client_tls(struct target *target, __u64 word) {
  if ((__u8)word != TLS_HANDSHAKE) return;
  target->client_tls++;
  if (target->flags & TARGET_WATCH_CLIENT_TLS) emit_process(EVENT_NEEDED, 0, FLAG_CLIENT);
}

#define MAX_LOOKS 16

// What came in one read with a PROXY header was not looked at. TLS has more reads before its first request.
static __always_inline int looks_again(const struct connection *c) {
  return c->role == ROLE_OTHER && c->proxied && c->looks < MAX_LOOKS;
}

#define LIBRARIES (TARGET_LIBRARY | TARGET_CLIENT_LIBRARY)
#define STREAMS (TARGET_STREAMS | TARGET_CLIENT_STREAMS)

static __always_inline void server_read(struct connection *c, struct sock *sk, struct target *target,
                                        const struct moved *m) {
  int http = c->role == ROLE_NEW || c->role == ROLE_SERVER;
  if (c->role == ROLE_NEW || looks_again(c)) {
    __u64 word = peek(&m->buffers, m->bytes);
    if (c->role == ROLE_NEW && is_proxy_header(word, m->bytes)) {
      c->proxied = 1;
      if (!is_proxy_header_alone(&m->buffers, word, m->bytes)) c->role = ROLE_OTHER;
      http = 0;
    } else {
      if (c->role == ROLE_OTHER) c->looks++;
      classify_read(c, word, m->bytes);
      if (c->role == ROLE_TLS) notice_tls(target, word, c->proxied);
      c->accepted = c->role == ROLE_TLS && is_hello(word, m->bytes);
      http = c->role == ROLE_NEW;
    }
  }
  if (target->flags & TARGET_SOCKET && http) {
    int fresh = c->role == ROLE_NEW;
    feed_all(c, sk, target, m, DIRECTION_READ, 0);
    if (fresh && c->role == ROLE_NEW && (c->received || c->rx.state != HALF_UNKNOWN)) c->role = ROLE_SERVER;
    http = c->role == ROLE_SERVER;
  } else {
    http = 0;
  }
  if (target->flags & LIBRARIES || (target->flags & STREAMS && !http)) remember_for_library(c, sk, m->task, http);
}

static __always_inline int ignores_reads(const struct connection *c, const struct target *target) {
  if (c->role == ROLE_OTHER) return !(target->flags & STREAMS) && !looks_again(c);
  if (c->role == ROLE_CLIENT) return c->rx.state >= HALF_UNTIL_CLOSE || !(target->flags & TARGET_CLIENT_SOCKET);
  return c->role == ROLE_SERVER && c->rx.state >= HALF_UNTIL_CLOSE && c->rx.state != HALF_WAIT &&
         !(target->flags & LIBRARIES);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_received, struct sock *sk, int bytes, int flags) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || bytes <= 0 || flags & (MSG_PEEK | MSG_ERRQUEUE)) return 0;
  struct connection *c = connection_of(sk, process);
  if (!c || ignores_reads(c, target)) return 0;
  struct moved m = {.bytes = bytes, .flags = flags};
  if (!find_buffers(&m.buffers)) {
    if (c->role == ROLE_SERVER || c->role == ROLE_CLIENT) lose(&c->rx);
    return 0;
  }
  m.task = current_task_id(target);
  if (c->role == ROLE_CLIENT) feed_all(c, sk, target, &m, DIRECTION_READ, 1);
  else server_read(c, sk, target, &m);
  return 0;
}

// The task that has encoded a request under TLS writes it next: from then on either connection knows the other.
static __always_inline void link_tls_client(struct connection *c, struct client_call *call) {
  if (!call || call->pending != PENDING_TLS) return;
  struct library_key key = {.pointer = call->path, .process = c->process};
  struct client_connection *l = bpf_map_lookup_elem(&client_connections, &key);
  call->pending = PENDING_NONE;
  if (!l) return;
  l->socket = c->id;
  c->library = key.pointer;
}

// Says what a connection is by the first bytes written to it. One whose beginning was not seen may turn out to
// be a client's at the next request.
static __always_inline void classify_write(struct connection *c, struct target *target, const struct buffers *b,
                                           int bytes) {
  __u64 word = peek(b, bytes);
  if (is_request(word) && bytes >= 16) {
    c->role = ROLE_CLIENT;
    c->rx.state = c->tx.state = HALF_IDLE;
    return;
  }
  if (c->role == ROLE_OTHER) {
    c->looks++;
    return;
  }
  if (!is_tls(word)) return;
  c->role = ROLE_TLS;
  notice_client_tls(target, word);
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_sent, struct sock *sk, int bytes, int flags) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target) return 0;
  if (target->flags & TARGET_INJECT) message_sent(sk, bytes);
  if (bytes <= 0) return 0;
  struct connection *c = connection_of(sk, process);
  struct moved m = {.bytes = bytes, .flags = flags};
  if (!c) return 0;
  if (c->role == ROLE_NEW || (c->role == ROLE_OTHER && !c->received && c->looks < MAX_LOOKS)) {
    if (!find_buffers(&m.buffers)) return 0;
    classify_write(c, target, &m.buffers, bytes);
  }
  if (c->role == ROLE_TLS && !c->library && target->flags & TARGET_CLIENT_LIBRARY)
    link_tls_client(c, pending_call(process, current_task_id(target)));
  int client = c->role == ROLE_CLIENT;
  if (!client && c->role != ROLE_SERVER) return 0;
  if (!(target->flags & (client ? TARGET_CLIENT_SOCKET : TARGET_SOCKET)) || c->tx.state >= HALF_UNTIL_CLOSE) return 0;
  if (!find_buffers(&m.buffers)) {
    m.buffers.iovec = m.buffers.base = 0; // sendfile, splice: bytes of a body
    m.buffers.count = 1;
  }
  m.task = client ? current_task_id(target) : c->task;
  if (client) feed_all(c, sk, target, &m, DIRECTION_WRITE, 1);
  else feed_all(c, sk, target, &m, DIRECTION_WRITE, 0);
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

// A connection that its process begins: who waits for it is told how that ends.
static __always_inline void connect_state(struct sock *sk, int old_state, int new_state) {
  if (new_state == TCP_SYN_SENT) {
    __u64 process;
    struct target *target = current_target(&process);
    struct connection *c = target && target->flags & (TARGET_CALLS | TARGET_INJECT) ? connection_of(sk, process) : 0;
    if (!c) return;
    c->out.whole = target->flags & TARGET_INJECT && !c->role;
    if (!(target->flags & TARGET_CALLS)) return;
    c->task = caller_key(current_task_id(target));
    connect_begins(process, c->task, __builtin_bswap16(sk->__sk_common.skc_dport));
    return;
  }
  struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
  if (!c || !c->task) return;
  connect_ends(c->process, c->task, new_state == TCP_ESTABLISHED, new_state == TCP_CLOSE ? sk->sk_err : 0,
               __builtin_bswap16(sk->__sk_common.skc_dport));
}

// Under TLS: the open request of hyper's client above the socket gets no answer any more.
static __always_inline void close_client(struct scratch *s, struct connection *c, int error, __u16 flags) {
  struct library_key key = {.pointer = c->library, .process = c->process};
  struct client_connection *l = bpf_map_lookup_elem(&client_connections, &key);
  if (!l || !l->open || l->socket != c->id) return;
  l->open = 0;
  if (!l->sampled) return;
  struct event_client_response *e =
      begin_client_response(s, EVENT_CLIENT_CLOSED, s->now, l->id, l->call.id, l->sequence);
  e->header.tgid = c->process >> 32;
  e->header.flags = flags;
  e->error = error;
  submit_client_response(e, 0);
}

// User space knows which streams were above a socket that speaks neither version of HTTP/1.
static __always_inline void close_streams(const struct connection *c) {
  __u32 tgid = c->process >> 32;
  struct target *target = find_target(tgid);
  if (!target || !(target->flags & STREAMS) || c->role == ROLE_SERVER || c->role == ROLE_CLIENT) return;
  bpf_map_delete_elem(&socket_stores, &c->id);
  struct event_stream e = {};
  fill_header(&e.header, EVENT_STREAMS_CLOSED, bpf_ktime_get_ns());
  e.header.tgid = tgid;
  e.socket = c->id;
  submit(&e, sizeof e);
}

// No byte of a response can follow once the own side is shut: FIN_WAIT1, LAST_ACK, CLOSING, CLOSE.
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state, struct sock *sk, int old_state, int new_state) {
  if (new_state == TCP_SYN_SENT || old_state == TCP_SYN_SENT) connect_state(sk, old_state, new_state);
  if (new_state != TCP_FIN_WAIT1 && new_state != TCP_LAST_ACK && new_state != TCP_CLOSING && new_state != TCP_CLOSE)
    return 0;
  struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
  if (!c || c->closed || !c->id) return 0;
  // A client may shut its side and still read the answer.
  if ((c->role == ROLE_CLIENT || c->library) && new_state != TCP_CLOSE && !(sk->sk_shutdown & RCV_SHUTDOWN)) return 0;
  struct owner owner = {.id = c->id, .task = c->task};
  c->closed = 1;
  close_streams(c);
  if (c->role == ROLE_TLS || c->role == ROLE_NEW || !c->task) { // without task: a thread may have its context
    __u8 yes = 1;
    bpf_map_update_elem(&closed_sockets, &c->id, &yes, BPF_ANY);
  }
  int library = close_library(c->id, &owner);
  int followed = (c->role == ROLE_SERVER && (c->received != c->answered || c->rx.state == HALF_HEAD)) ||
                 (c->role == ROLE_CLIENT && c->received != c->answered);
  if (library || followed || c->library) {
    struct task_struct *thread = current_thread();
    __u16 flags = (__u32)thread->tgid == c->process >> 32 && thread->flags & PF_EXITING ? FLAG_EXITING : 0;
    __u64 now = bpf_ktime_get_ns();
    struct scratch *s = scratch_take();
    if (s) {
      s->now = now;
      if (library) emit_closed(s, now, c->id, owner.id, c->process, owner.task, c->received, flags);
      else if (c->library) close_client(s, c, sk->sk_err, flags);
      else report_unanswered(s, c, sk->sk_err, flags);
      scratch_give(s);
    }
  }
  if (library || c->role == ROLE_SERVER) task_forget(c->process, owner.task, owner.id);
  return 0;
}
