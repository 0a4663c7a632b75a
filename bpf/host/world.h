// The programs of bpf/agent.bpf.c in this process, and the system calls, probes and state changes that run them.
#pragma once

#include "../vmlinux_min.h"
#include "bpf_host.h"
#include "../events.h"
#include "../scan.h"
// Here the loader's constants are variables.
#define const
#include "../maps.h"
#undef const
#include "../agent.bpf.c"

#define MAX_SOCKETS 256
#define TLS_TAG_OFFSET (-0x40)
#define TLS_ID_OFFSET (-0x38)

#define SEND_BUFFER (1 << 20)

static struct sock *sockets[MAX_SOCKETS];
static struct net host_net = {.ipv4 = {.sysctl_tcp_notsent_lowat = ~0u}};
static int lasting_regions; // regions that outlive the call being made

static struct sock *socket_of(unsigned number) {
  if (number >= MAX_SOCKETS) fail("Cannot use socket %u: the limit is %d", number, MAX_SOCKETS);
  if (!sockets[number]) {
    struct sock *sk = sockets[number] = calloc(1, sizeof(struct tcp_sock));
    sk->sk_sndbuf = SEND_BUFFER;
    sk->__sk_common.skc_net.net = &host_net;
    sk->__sk_common.skc_family = AF_INET;
    sk->__sk_common.skc_state = TCP_ESTABLISHED;
    sk->__sk_common.skc_num = 8080;
    sk->__sk_common.skc_dport = __builtin_bswap16(40000 + number);
    sk->__sk_common.skc_rcv_saddr = 0x0100007f;
    sk->__sk_common.skc_daddr = 0x0200007f;
  }
  return sockets[number];
}

static void finish_call(void) {
  if (host_preempt_depth) fail("A program returned with preemption off");
  for (__u32 i = 0; i < scratch_slots; i++) {
    struct scratch *s = bpf_map_lookup_elem(&scratches, &i);
    if (s && s->busy == 1) fail("A program kept scratch buffer %u", i);
  }
  host_unmap_from(lasting_regions);
}

// The thread's TLS block lasts until the next thread runs.
static __u64 tls_block;
static int tls_region;

static struct task_struct *thread_numbered(__u32 tid) {
  int i = 0;
  while (i < HOST_THREADS && host_threads[i].pid && host_threads[i].pid != (pid_t)tid) i++;
  if (i == HOST_THREADS) fail("Cannot run more than %d threads", HOST_THREADS);
  return &host_threads[i];
}

static void run_thread(__u32 tgid, __u32 tid, __u64 task) {
  __u64 slot[2] = {task != 0, task};
  host_task = thread_numbered(tid);
  host_task->tgid = tgid;
  host_task->pid = tid;
  host_task->group_leader = host_task;
  if (!tls_block) {
    tls_region = host_region_count;
    tls_block = host_map_user(slot, sizeof slot);
    lasting_regions = host_region_count;
  }
  memcpy(host_regions[tls_region].bytes, slot, sizeof slot);
  host_task->thread.fsbase = tls_block - TLS_TAG_OFFSET;
}

static void reset_world(void) {
  host_clear_maps();
  for (int i = 0; i < MAX_SOCKETS; i++) {
    free(sockets[i]);
    sockets[i] = 0;
  }
  host_unmap_from(0);
  lasting_regions = 0;
  tls_block = 0;
  host_next_address = 0x7f0000000000;
  host_clock = 0;
  host_random = 88172645463325252ULL;
  host_ring_room = ~0ULL;
  host_map_limit = 0;
  host_loop_limit = ~0u;
  host_helper_failure = 0;
  memset(host_threads, 0, sizeof host_threads);
  next_connection = next_call = next_send = 1;
  sampler_root = sampler_parent_sampled = SAMPLER_ON;
  sampler_parent_unsampled = SAMPLER_OFF;
  sampler_ratio = 0;
  extract_traceparent = has_preempt_guard = messages_see_threads = 1;
  extract_b3 = pass_tracestate = 0;
  capture_response_heads = capture_client_heads = 0;
  run_thread(1, 1, 0);
}

enum call { CALL_PLAIN, CALL_TO, CALL_VECTOR, CALL_MESSAGE, CALL_OTHER };

struct transfer_call {
  unsigned socket;
  int write;
  enum call how;
  const __u8 *bytes;
  __u32 size;          // bytes in the buffers
  __s32 moved;         // what the system call returns
  int flags;
  const __u32 *pieces; // sizes of the iovecs; the last one takes what is left
  int piece_count;
};

static __u64 map_vector(const struct transfer_call *call, __u32 *count) {
  static struct iovec vectors[MAX_SEGMENTS + 1];
  __u32 at = 0, n = 0;
  for (; n < (__u32)call->piece_count && n < MAX_SEGMENTS; n++) {
    __u32 size = call->pieces[n] < call->size - at ? call->pieces[n] : call->size - at;
    vectors[n].iov_base = (void *)host_map_user(call->bytes + at, size);
    vectors[n].iov_len = call->pieces[n] > size && at + size == call->size ? call->pieces[n] : size;
    at += size;
  }
  if (at < call->size || !n) {
    vectors[n].iov_base = (void *)host_map_user(call->bytes + at, call->size - at);
    vectors[n++].iov_len = call->size - at;
  }
  *count = n;
  return host_map_user(vectors, n * sizeof vectors[0]);
}

static const int numbers[][2] = {
    [CALL_PLAIN] = {NR_READ, NR_WRITE},         [CALL_TO] = {NR_RECVFROM, NR_SENDTO},
    [CALL_VECTOR] = {NR_READV, NR_WRITEV},      [CALL_MESSAGE] = {NR_RECVMSG, NR_SENDMSG},
    [CALL_OTHER] = {299 /* recvmmsg */, 40 /* sendfile */},
};

// What goes out when sk_msg has seen the message; the tracepoint follows when the system call returns.
static __u8 *run_message(const struct transfer_call *call, __u32 *size) {
  memset(&host_regs, 0, sizeof host_regs);
  host_regs.orig_ax = numbers[call->how][1];
  __u8 *sent = host_send_message((struct bpf_sock *)socket_of(call->socket), client_message, call->bytes, call->size,
                                 call->pieces, call->piece_count);
  finish_call();
  *size = host_message.md.size;
  return sent;
}

static void run_transfer(const struct transfer_call *call) {
  struct sock *sk = socket_of(call->socket);
  memset(&host_regs, 0, sizeof host_regs);
  host_regs.orig_ax = numbers[call->how][call->write];
  host_regs.di = call->socket;
  if (call->how == CALL_VECTOR || call->how == CALL_MESSAGE) {
    __u32 count = 0;
    __u64 vector = map_vector(call, &count);
    struct user_msghdr message = {.msg_iov = (void *)vector, .msg_iovlen = count};
    host_regs.si = call->how == CALL_VECTOR ? vector : host_map_user(&message, sizeof message);
    host_regs.dx = count;
  } else if (call->how != CALL_OTHER) {
    host_regs.si = host_map_user(call->bytes, call->size);
    host_regs.dx = call->size;
  }
  if (call->write) socket_sent(sk, call->moved, call->flags);
  else socket_received(sk, call->moved, call->flags);
  finish_call();
}

// The tracepoint comes before the socket has its new state.
static void run_state(unsigned number, int state, int error) {
  struct sock *sk = socket_of(number);
  sk->sk_err = error;
  if (state == TCP_CLOSE_WAIT) sk->sk_shutdown |= RCV_SHUTDOWN; // as tcp_fin does
  socket_state(sk, sk->__sk_common.skc_state, state);
  sk->__sk_common.skc_state = state;
  finish_call();
}

static void free_socket(unsigned number) {
  struct sock *sk = socket_of(number);
  host_forget_object(sk);
  free(sk);
  sockets[number] = 0;
}

typedef int program(struct pt_regs *);

static void run_program(program *run, __u64 cookie, struct pt_regs *regs) {
  host_cookie = cookie;
  run(regs);
  finish_call();
}

// A uprobe's program with the three first arguments of the function.
static void run_probe(program *run, __u64 cookie, __u64 first, __u64 second, __u64 third) {
  struct pt_regs regs = {.di = first, .si = second, .dx = third};
  run_program(run, cookie, &regs);
}

// hyper's `parse(out, &mut BytesMut, ParseContext)`: a buffer, and a context that points to the connection.
static void run_parse(__u32 cookie, __u64 key, const __u8 *bytes, __u32 size) {
  struct binary_layout *l = bpf_map_lookup_elem(&layouts, &cookie);
  __u8 structures[256] = {0};
  __u64 buffer = host_map_user(bytes, size), length = size;
  if (!l || l->bytes_mut_length > 100 || l->parse_context_req_method > 100) fail("Cannot use layout %u", cookie);
  memcpy(structures + l->bytes_mut_pointer, &buffer, 8);
  memcpy(structures + l->bytes_mut_length, &length, 8);
  memcpy(structures + 128 + l->parse_context_req_method, &key, 8);
  __u64 at = host_map_user(structures, sizeof structures);
  run_probe(hyper_server_parse, cookie, 0, at, at + 128);
}

static void run_encode(__u32 cookie, __u64 key, __u16 status) {
  struct binary_layout *l = bpf_map_lookup_elem(&layouts, &cookie);
  __u8 encode[128] = {0}, head[256] = {0};
  if (!l || l->encode_req_method > 100 || l->encode_head > 100 || l->head_status > 200)
    fail("Cannot use layout %u", cookie);
  memcpy(head + l->head_status, &status, 2);
  __u64 head_at = host_map_user(head, sizeof head);
  memcpy(encode + l->encode_head, &head_at, 8);
  memcpy(encode + l->encode_req_method, &key, 8);
  run_probe(hyper_server_encode, cookie, 0, host_map_user(encode, sizeof encode), 0);
}
