// Who runs: process, thread, Tokio task, and whether the agent traces it.
#pragma once

// The current process as a part of keys: its number, and what tells it from others of that number and from itself
// before an exec.
static __always_inline __u64 process_key(void) {
  struct task_struct *thread = bpf_get_current_task_btf();
  __u64 mark = thread->group_leader->start_time ^ thread->self_exec_id << 24;
  return (bpf_get_current_pid_tgid() & 0xffffffff00000000ULL) | (__u32)(mark ^ mark >> 32);
}

static __always_inline struct target *current_target(__u64 *process) {
  __u32 tgid = bpf_get_current_pid_tgid() >> 32;
  struct target *target = bpf_map_lookup_elem(&targets, &tgid);
  if (target) *process = process_key();
  return target;
}

// Members of the library that this probe is in: the lower half of its cookie says which.
static __always_inline struct binary_layout *layout_of(struct pt_regs *ctx) {
  __u32 index = bpf_get_attach_cookie(ctx);
  return bpf_map_lookup_elem(&layouts, &index);
}

// Tokio's id of the task this thread polls, 0 when there is none or the slot is not known.
static __always_inline __u64 current_task_id(const struct target *target) {
  if (!(target->flags & TARGET_TASK_SLOT)) return 0;
  struct task_struct *thread = bpf_get_current_task_btf();
  __u64 base = thread->thread.fsbase, words[2] = {1}; // tag and id
  __u64 tag = base + (__s64)target->task_tag_offset, id = base + (__s64)target->task_id_offset;
  if (!(target->flags & TARGET_TASK_TAG)) {
    if (bpf_probe_read_user(words + 1, 8, (void *)id)) return 0;
  } else if (id == tag + 8) { // as in every Tokio so far: one read
    if (bpf_probe_read_user(words, 16, (void *)tag)) return 0;
  } else if (bpf_probe_read_user(words, 8, (void *)tag) || bpf_probe_read_user(words + 1, 8, (void *)id)) {
    return 0;
  }
  return words[0] == 1 ? words[1] : 0;
}

static __always_inline void fill_header(struct event_header *h, __u16 kind, __u64 now) {
  __u64 pid_tgid = bpf_get_current_pid_tgid();
  h->time_ns = now;
  h->tgid = pid_tgid >> 32;
  h->tid = (__u32)pid_tgid;
  h->kind = kind;
  h->flags = 0;
}

// Uprobe programs run preemptible and, since 6.13, may share a private stack a CPU with whoever preempts
// them: they hold off preemption. Kernels without the function (below 6.10) have no private stacks.
static __always_inline void guard_begin(void) {
  if (has_preempt_guard) bpf_preempt_disable();
}

static __always_inline void guard_end(void) {
  if (has_preempt_guard) bpf_preempt_enable();
}
