// The least that the agent's hooks cost on this machine: the same tracepoints and probe sites, in which next to nothing is
// done. What the figures of another machine are worth, its own yardstick says: docs/bench.md. Built by
// scripts/build-bpf.mjs.
#include "vmlinux_min.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "current.h"

char LICENSE[] SEC("license") = "GPL";

#define HEAD_BYTES 480
#define READ 0
#define WRITE 1
#define WRITEV 20
#define SENDTO 44
#define RECVFROM 45

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 1 << 23);
} ring SEC(".maps");

const volatile __u32 yard_tgid = 0;
const volatile __s64 yard_slot = 0; // of the current task's id, from the thread pointer

struct record {
  __u64 time_ns;
  __u64 task;
  __u64 ids;
  __u64 key;
  __u64 word; // that was read
};

struct head_record {
  struct record record;
  __u8 head[HEAD_BYTES];
};

static __always_inline int is_other(void) { return (__u32)current_thread()->tgid != yard_tgid; }

static __always_inline void fill(struct record *r, __u64 key) {
  r->time_ns = bpf_ktime_get_ns();
  r->ids = current_ids();
  r->key = key;
  r->task = 0;
  if (yard_slot) bpf_probe_read_user(&r->task, 8, (void *)(current_thread()->thread.fsbase + yard_slot));
}

static __always_inline void submit_head(__u64 key, __u64 from, __u64 size) {
  struct head_record *e = bpf_ringbuf_reserve(&ring, sizeof *e, 0);
  if (!e) return;
  fill(&e->record, key);
  if (size > HEAD_BYTES) size = HEAD_BYTES;
  bpf_probe_read_user(e->head, size, (void *)from);
  bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

static __always_inline void submit_record(__u64 key, __u64 word) {
  struct record *e = bpf_ringbuf_reserve(&ring, sizeof *e, 0);
  if (!e) return;
  fill(e, key);
  e->word = word;
  bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(yard_received, struct sock *sk, int bytes, int flags) {
  if (is_other() || bytes <= 0) return 0;
  struct pt_regs *regs = (void *)bpf_task_pt_regs(current_thread());
  if (regs->orig_ax != READ && regs->orig_ax != RECVFROM) return 0;
  submit_head((__u64)sk, regs->si, bytes);
  return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(yard_sent, struct sock *sk, int bytes, int flags) {
  if (is_other() || bytes <= 0) return 0;
  struct pt_regs *regs = (void *)bpf_task_pt_regs(current_thread());
  __u64 head[2] = {}, base = regs->si;
  if (regs->orig_ax == WRITEV) bpf_probe_read_user(&base, 8, (void *)base);
  else if (regs->orig_ax != WRITE && regs->orig_ax != SENDTO) return 0;
  bpf_probe_read_user(head, 16, (void *)base);
  submit_record((__u64)sk, head[1]);
  return 0;
}

// Behind the second argument, zeros where nothing is; 0 in another process.
static __always_inline int read_words(struct pt_regs *ctx, __u64 *words) {
  if (is_other()) return 0;
  bpf_probe_read_user(words, 16, (void *)ctx->si);
  return 1;
}

// hyper's parser: a BytesMut, empty before hyper has read.
SEC("uprobe.multi")
int yard_parse(struct pt_regs *ctx) {
  __u64 words[2] = {};
  if (read_words(ctx, words) && words[1]) submit_head(ctx->si, words[0], words[1]);
  return 0;
}

SEC("uprobe.multi")
int yard_words(struct pt_regs *ctx) {
  __u64 words[2] = {};
  if (read_words(ctx, words)) submit_record(words[0], words[1]);
  return 0;
}

// That the place is passed, and by which task.
SEC("uprobe.multi")
int yard_passed(struct pt_regs *ctx) {
  if (!is_other()) submit_record(0, 0);
  return 0;
}
