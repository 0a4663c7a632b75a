// Who runs: process, thread, Tokio task, and whether the agent traces it.
#pragma once

// The current process as a part of keys: its number, and what tells it from others of that number and from itself
// before an exec.
static __always_inline __u64 process_key(void) {
  struct task_struct *thread = current_thread();
  __u64 mark = thread->group_leader->start_time ^ thread->self_exec_id << 24;
  return (current_ids() & 0xffffffff00000000ULL) | (__u32)(mark ^ mark >> 32);
}

// Where what is remembered of a task lies.
static __always_inline struct recent_key task_place(const struct task_key *key) {
  return recent_key(key->process, 0, key->task);
}

// Where a process lies in `targets`. User space counts the same: src/agent/target-map.ts.
static __always_inline __u32 first_place(__u32 tgid) { return tgid & (TARGET_PLACES - 1); }

// Processes with the same first place differ in the upper bits, and so here: 61 is odd.
static __always_inline __u32 second_place(__u32 tgid) {
  return TARGET_PLACES + ((7 * first_place(tgid) + 61 * (tgid / TARGET_PLACES)) & (SECOND_PLACES - 1));
}

// Both look-ups are in one map: the verifier walks what follows once.
static __always_inline struct target *find_target(__u32 tgid) {
  __u32 place = first_place(tgid);
  struct target *target = bpf_map_lookup_elem(&targets, &place);
  if (!target) return 0;
  if (target->tgid != tgid) {
    __u8 *crowded = bpf_map_lookup_elem(&crowded_places, &place);
    if (!crowded || !*crowded) return 0;
    place = second_place(tgid);
    target = bpf_map_lookup_elem(&targets, &place);
    if (!target || target->tgid != tgid) return 0;
  }
  return target;
}

static __always_inline struct target *current_target(__u64 *process) {
  struct target *target = find_target(current_thread()->tgid);
  if (target) *process = process_key();
  return target;
}

static __always_inline void untrace_process(__u32 tgid) {
  __u32 first = first_place(tgid), second = second_place(tgid);
  struct target *place = bpf_map_lookup_elem(&targets, &first);
  if (place && place->tgid == tgid) place->tgid = 0;
  place = bpf_map_lookup_elem(&targets, &second);
  if (place && place->tgid == tgid) place->tgid = 0;
}

static __always_inline int is_taken(const struct target *place, __u32 tgid) { return place->tgid && place->tgid != tgid; }

// User space does the same, perhaps at this moment. It hears of the exec next and puts right what was mixed up.
static __always_inline void trace_process(__u32 tgid, const struct target *target) {
  __u32 number = first_place(tgid);
  struct target *place = bpf_map_lookup_elem(&targets, &number);
  __u8 *crowded = bpf_map_lookup_elem(&crowded_places, &number);
  if (!place || !crowded) return;
  untrace_process(tgid);
  if (is_taken(place, tgid)) {
    *crowded = 1;
    number = second_place(tgid);
    place = bpf_map_lookup_elem(&targets, &number);
    if (!place) return;
    if (is_taken(place, tgid)) {
      count(COUNTER_MAP_FULL);
      return;
    }
  }
  __builtin_memcpy(place, target, __builtin_offsetof(struct target, tgid));
  RECENT_BARRIER;
  place->tgid = tgid;
}

// Members of the library that this probe is in: the lowest 16 bits of its cookie say which.
static __always_inline struct binary_layout *layout_at(__u64 cookie) {
  __u32 index = cookie & 0xffff;
  return bpf_map_lookup_elem(&layouts, &index);
}

static __always_inline struct binary_layout *layout_of(struct pt_regs *ctx) {
  return layout_at(attach_cookie(ctx));
}

// What the task slot shows is no task, or not this one.
int distrust_slot(struct target *target, __u32 doubt, __u64 value);

// The current process's.
static __always_inline void distrust_current(__u32 slot_site, __u32 doubt, __u64 value) {
  struct target *target = find_target(current_thread()->tgid);
  if (target && target->slot_site == slot_site) distrust_slot(target, doubt, value);
}

// Tokio's id of the task this thread polls, 0 when there is none or the slot is not known.
static __always_inline __u64 current_task_id(struct target *target) {
  if (!(target->flags & TARGET_TASK_SLOT)) return 0;
  struct task_struct *thread = current_thread();
  __u64 base = thread->thread.fsbase, words[2] = {1}; // tag and id
  __u64 tag = base + (__s64)target->task_tag_offset, id = base + (__s64)target->task_id_offset;
  if (!(target->flags & TARGET_TASK_TAG)) {
    if (bpf_probe_read_user(words + 1, 8, (void *)id)) return 0;
  } else if (id == tag + 8) { // as in every Tokio so far: one read
    if (bpf_probe_read_user(words, 16, (void *)tag)) return 0;
  } else if (bpf_probe_read_user(words, 8, (void *)tag) || bpf_probe_read_user(words + 1, 8, (void *)id)) {
    return 0;
  }
  if (words[0] != 1) return 0;
  if (words[1] < LARGEST_TASK) return words[1];
  distrust_slot(target, DOUBT_TASK, words[1]);
  return 0;
}

// ---- whether the slot follows the tasks ----

#define UNSEEN_TASKS 8
#define PROOFS 4
#define EQUAL_TASKS 64

// `c`: of the task slot, these two.
static __always_inline void task_made(struct site_check *c, __u64 process, __u64 task) {
  if (!c) return;
  if (c->process == process) {
    c->made++;
    return;
  }
  c->process = process;
  c->first = task;
  c->last = c->made = 0;
}

static __always_inline void task_seen(struct site_check *c, __u64 process, __u64 task) {
  if (!c || c->process != process || c->last >= task) return;
  c->last = task;
  c->made = 0;
}

// Servers make a task for each connection: what the slot shows must be one that was drawn. Until some were, or others have
// stayed in theirs for long, an older task may be a wrong slot's number. `fresh`: it has served nothing so far.
static __always_inline int is_proven(__u32 slot_site, __u64 process, __u64 task, int fresh) {
  struct site_check *c = check_of(slot_site);
  if (!c) return 1;
  if (!is_believed(c)) return 0;
  if (!c->first || c->proven >= PROOFS || c->score >= EQUAL_TASKS) return 1;
  if (c->process != process || task < c->first) return 0;
  if (fresh) c->proven++;
  return 1;
}

// Another connection has its first request in a task that has served one: some programs have one task for all of them, but
// then none runs that is newer.
static __always_inline void task_kept(__u32 slot_site, __u64 process, __u64 task) {
  struct site_check *c = check_of(slot_site);
  if (!c || c->process != process || c->made < UNSEEN_TASKS) return;
  c->made = c->proven = 0;
  distrust_current(slot_site, DOUBT_TASK_KEPT, task);
}

// A server's connection stays in its task. Walked once by the verifier.
__noinline int check_task(struct target *target, __u64 before, __u64 now) {
  if (!target || !before || !now) return 0;
  if (before != now) return distrust_slot(target, DOUBT_TASK_MOVED, now);
  looked_right(check_of(target->slot_site));
  return 0;
}

static __always_inline void fill_header(struct event_header *h, __u16 kind, __u64 now) {
  __u64 pid_tgid = current_ids();
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
