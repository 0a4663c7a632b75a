// Which request a task or thread works for: routes, and the parents of client requests.
#pragma once

// Of code outside any task: its thread, in the same maps. Task ids are counted from 1.
#define THREAD_KEY (1ULL << 63)

static __always_inline __u64 caller_key(__u64 task) {
  return task ? task : THREAD_KEY | (__u32)current_ids();
}

// A fresh entry is copied from here: it is too large for the stack.
static const struct task_connection NO_REQUESTS = {};

// Of a request's span: `ids` are trace and span id, next to each other. Words: of bytes, each would be loaded by itself
// and wait on the stack, of which all nested calls have 512 bytes before 6.13.
static __always_inline void set_context(struct context *c, const void *ids, __u8 flags) {
  const __u64 *from = ids;
  __u64 *to = (void *)c->ids;
  for (int i = 0; i < 3; i++) to[i] = from[i];
  c->flags = flags;
  c->known = 1;
  c->handed = c->grpc = 0;
}

static __always_inline void put_context(struct context *c, const struct event_request *r) {
  set_context(c, r->trace_id, r->trace_flags);
}

// A request of this connection begins in this task; its ids are in the record. `slot_site`: of the target.
static __always_inline void task_request(__u64 process, __u64 task, __u64 connection, const struct event_request *r,
                                         __u32 slot_site) {
  struct task_key key = {.task = task, .process = process};
  if (!task) return;
  struct task_connection *t = bpf_map_lookup_elem(&tasks, &key);
  int known = is_proven(slot_site, process, task, !t);
  if (!t) {
    if (bpf_map_update_elem(&tasks, &key, &NO_REQUESTS, BPF_NOEXIST)) count(COUNTER_MAP_FULL);
    t = bpf_map_lookup_elem(&tasks, &key);
    if (!t) return;
    t->connection = connection;
    if (!r->header.sequence) task_seen(check_of(slot_site), process, task); // a Unix socket's is forgotten with each answer
  }
  if (t->connection != connection) {
    task_kept(slot_site, process, task);
    if (t->open > 0) t->shared = 1;
    t->connection = connection;
    t->open = 0;
    t->routes.count = t->routes.text_size = 0;
  }
  t->doubtful = !known;
  if (t->open <= 0) {
    t->open = 1;
    t->waiting_count = 0;
    put_context(&t->context, r);
    t->context.known = known;
    return;
  }
  t->open++;
  __u32 n = t->waiting_count;
  if (n < WAITING) {
    put_context(&t->waiting[n & (WAITING - 1)], r);
    t->waiting[n & (WAITING - 1)].known = known;
  }
  t->waiting_count = n < WAITING ? n + 1 : WAITING + 1;
}

// The first unanswered request has its answer: the next one is worked for.
static __always_inline void task_answered(struct task_connection *t) {
  if (t->open <= 0 || --t->open == 0) return;
  __u32 n = t->waiting_count;
  t->context = t->waiting[0];
  if (n == 0 || n > WAITING) {
    t->context.known = 0;
    return;
  }
  for (int i = 0; i + 1 < WAITING; i++) t->waiting[i] = t->waiting[i + 1];
  t->waiting_count = n - 1;
}

static __always_inline void task_forget(__u64 process, __u64 task, __u64 connection) {
  struct task_key key = {.task = task, .process = process};
  if (!task) return;
  struct task_connection *t = bpf_map_lookup_elem(&tasks, &key);
  if (t && t->connection == connection) bpf_map_delete_elem(&tasks, &key);
}

#define USUAL_TEXT 64 // of routes: what is copied without need comes from memory that is in no cache

// The routes that belong to the connection's first unanswered request.
static __always_inline void take_routes(struct event_response *e, __u64 process, __u64 task, __u64 connection) {
  struct task_key key = {.task = task, .process = process};
  if (!task) return;
  struct task_connection *t = bpf_map_lookup_elem(&tasks, &key);
  if (!t) return;
  struct routes *r = &t->routes;
  if (t->shared || t->connection != connection) {
    if (r->count) count(COUNTER_ROUTE_UNKNOWN);
    return;
  }
  task_answered(t);
  if (!r->count) return;
  e->route_count = r->count > MAX_ROUTES ? 0 : r->count; // beyond: forgotten
  e->route_text_size = r->text_size;
  __builtin_memcpy(e->route_size, r->size, sizeof e->route_size);
  if (r->text_size <= USUAL_TEXT) __builtin_memcpy(e->route_text, r->text, USUAL_TEXT);
  else __builtin_memcpy(e->route_text, r->text, ROUTE_TEXT);
  r->count = r->text_size = 0;
}

// A thread that waits for its socket handles this connection alone, until it has answered.
static __always_inline void thread_request(__u64 connection, const struct event_request *r) {
  struct thread *t = bpf_task_storage_get(&threads, current_thread(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!t) {
    count(COUNTER_MAP_FULL);
    return;
  }
  put_context(&t->context, r);
  t->context_connection = connection;
}

static __always_inline void thread_answered(__u64 connection) {
  struct thread *t = bpf_task_storage_get(&threads, current_thread(), 0, 0);
  if (t && t->context_connection == connection) t->context.known = 0;
}

static __always_inline struct context *thread_context(__u8 *orphan) {
  struct thread *t = bpf_task_storage_get(&threads, current_thread(), 0, 0);
  *orphan = ORPHAN_NO_TASK;
  if (!t || !t->context.known) return 0;
  return t->context.handed || !bpf_map_lookup_elem(&closed_sockets, &t->context_connection) ? &t->context : 0;
}

// A task that serves a connection works for its request, whatever it was born with.
static __always_inline struct context *task_context(__u64 process, __u64 task, __u8 *orphan) {
  struct task_key key = {.task = task, .process = process};
  struct task_connection *serves = bpf_map_lookup_elem(&tasks, &key);
  if (serves) {
    *orphan = ORPHAN_SHARED;
    return serves->context.known && !serves->shared ? &serves->context : 0;
  }
  *orphan = ORPHAN_NO_CONTEXT;
  struct recent_key place = task_place(&key);
  return born_find(&place);
}

// What the current code works under, or 0 and why.
static __always_inline struct context *current_context(const struct target *target, __u64 process, __u64 task,
                                                       __u8 *orphan) {
  *orphan = ORPHAN_NO_TASK;
  if (task && !is_slot_believed(target)) return 0;
  return task ? task_context(process, task, orphan) : thread_context(orphan);
}

static __always_inline void count_orphan(__u8 orphan) {
  if (orphan == ORPHAN_NO_TASK) count(COUNTER_NO_TASK);
  else if (orphan == ORPHAN_NO_CONTEXT) count(COUNTER_NO_CONTEXT);
  else if (orphan == ORPHAN_SHARED) count(COUNTER_CONTEXT_SHARED);
  else if (orphan == ORPHAN_UNLINKED) count(COUNTER_CALL_UNLINKED);
}

// `owner`: the number under which the task knows the connection.
static __always_inline void emit_closed(struct scratch *s, __u64 now, __u64 connection, __u64 owner, __u64 process,
                                        __u64 task, __u32 sequence, __u16 flags) {
  struct event_response *e = begin_response(s, EVENT_CLOSED, now, connection, task, sequence);
  e->header.tgid = process >> 32;
  e->header.flags = flags;
  take_routes(e, process, task, owner);
  submit_response(e);
}
