// Client requests between their caller and the connection that carries them.
#pragma once

#define NO_SLOT CALL_SLOTS

// Ids and sampling of a client span under `parent` (0: a root). Gives 0 when the sampler leaves it out.
static __always_inline int start_client_trace(struct scratch *s, __u32 *ids, __u32 *parent_id, __u8 *flags,
                                              const struct context *parent) {
  __u32 how = sampler_root;
  if (parent) {
    __builtin_memcpy(ids, parent->ids, 16);
    __builtin_memcpy(parent_id, parent->ids + TRACE_ID_WORDS, 8);
    how = parent->flags & 1 ? sampler_parent_sampled : sampler_parent_unsampled;
    *flags = parent->flags & ~1;
  } else {
    random_words(s, ids, 2);
    parent_id[0] = parent_id[1] = 0;
    *flags = 0;
  }
  random_words(s, ids + TRACE_ID_WORDS, 1);
  if (!sample(how, (__u8 *)ids)) {
    count(COUNTER_UNSAMPLED);
    return 0;
  }
  *flags |= 1;
  return 1;
}

static const struct caller NO_CALLS = {};

static __always_inline struct caller *caller_of(__u64 process, __u64 caller) {
  struct task_key key = {.task = caller, .process = process};
  return bpf_map_lookup_elem(&callers, &key);
}

static __always_inline struct caller *maker_of(__u64 process, __u64 caller) {
  struct task_key key = {.task = caller, .process = process};
  __u64 *maker = bpf_map_lookup_elem(&makers, &key);
  return maker ? caller_of(process, *maker) : 0;
}

// Whose calls the current task may be polling: its own, else those of the task that made it.
static __always_inline struct caller *caller_here(__u64 process, __u64 caller) {
  struct caller *c = caller_of(process, caller);
  if (c && (c->open | c->answered)) return c;
  struct caller *maker = maker_of(process, caller);
  return maker ? maker : c;
}

#define ALL_SLOTS ((1ULL << CALL_SLOTS) - 1)

static __always_inline __u64 lowest_bit(__u64 bits) { return bits & -bits; }

// Of a single bit below 1 << 16; without branches, each of which the verifier would walk.
static __always_inline __u32 bit_index(__u64 bit) {
  return ((bit & 0xff00) + 0xffff) >> 16 << 3 | ((bit & 0xf0f0) + 0xffff) >> 16 << 2 |
         ((bit & 0xcccc) + 0xffff) >> 16 << 1 | ((bit & 0xaaaa) + 0xffff) >> 16;
}

// The caller needs to hear no more of this call than that its future is gone. The connection's thread and the
// caller's meet here: the bit is never gone from both sets.
static __always_inline void call_done(__u64 process, const struct call_place *place, int streamed) {
  if (!place->id || place->slot >= CALL_SLOTS) return;
  struct caller *c = caller_of(process, place->caller);
  if (!c) return;
  __u64 bit = 1ULL << place->slot;
  if (c->calls[place->slot & (CALL_SLOTS - 1)].id != place->id || !(c->open & bit)) return;
  if (streamed) __sync_fetch_and_or(&c->streamed, bit);
  __sync_fetch_and_or(&c->answered, bit);
  __sync_fetch_and_and(&c->open, ~bit);
}

static __always_inline void call_answered(__u64 process, const struct call_place *place) {
  call_done(process, place, 0);
}

static __always_inline void free_call(struct caller *c, __u64 bit) {
  __sync_fetch_and_and(&c->open, ~bit);
  __sync_fetch_and_and(&c->answered, ~bit);
}

// Remembers a call for its end; the number of its place, or NO_SLOT.
static __always_inline __u32 add_open_call(__u64 process, const struct client_call *call, __u64 pointer, __u32 root,
                                           int channel) {
  struct task_key key = {.task = call->place.caller, .process = process};
  struct caller *c = bpf_map_lookup_elem(&callers, &key);
  if (!c) {
    bpf_map_update_elem(&callers, &key, &NO_CALLS, BPF_NOEXIST);
    c = bpf_map_lookup_elem(&callers, &key);
    if (!c) {
      count(COUNTER_MAP_FULL);
      return NO_SLOT;
    }
  }
  if (!c->open) {
    c->connects = c->established = c->connect_error = c->connect_port = 0;
    c->spawned = c->given_up = 0;
    if (!c->answered) c->crowded = 0;
  }
  __u64 bit = lowest_bit(~(c->open | c->answered) & ALL_SLOTS);
  if (!bit) {
    bit = lowest_bit(c->answered); // its future may live elsewhere
    c->crowded = 1;
  }
  if (!bit) return NO_SLOT;
  __u32 slot = bit_index(bit) & (CALL_SLOTS - 1);
  c->calls[slot].id = call->place.id;
  c->calls[slot].key = pointer;
  c->calls[slot].path = call->path;
  c->calls[slot].sampled = call->sampled;
  c->calls[slot].root = root;
  c->calls[slot].unwritten = 0;
  if (channel) c->channels |= bit;
  else c->channels &= ~bit;
  __sync_fetch_and_and(&c->streamed, ~bit);
  __sync_fetch_and_and(&c->answered, ~bit);
  __sync_fetch_and_or(&c->open, bit);
  return slot;
}

static __always_inline struct client_call *find_call(__u64 process, __u64 pointer) {
  struct library_key key = {.pointer = pointer, .process = process};
  return pointer ? bpf_map_lookup_elem(&calls, &key) : 0;
}

static __always_inline void remove_call(__u64 process, __u64 pointer) {
  struct library_key key = {.pointer = pointer, .process = process};
  bpf_map_delete_elem(&calls, &key);
}

// A Uri that is cloned for each request has one text. Calls that wait under it at a time are kept by their
// numbers, which are no pointers, and the text leads to a mark. Where nothing tells them apart later, they end as
// their callers see it, without a status. Memory that is used again before the caller of a failed call has heard
// looks the same. The mark's count goes astray where a call is cancelled: it holds for a while.
#define SHARED_NS 100000000000ULL

static __always_inline int is_shared(const struct open_call *o) { return o->key == o->id; }

static __always_inline void keep_by_number(__u64 process, const struct client_call *c) {
  struct library_key key = {.pointer = c->place.id, .process = process};
  if (bpf_map_update_elem(&calls, &key, c, BPF_ANY)) count(COUNTER_MAP_FULL);
  if (c->place.slot >= CALL_SLOTS) return;
  struct caller *owner = caller_of(process, c->place.caller);
  if (!owner) return;
  struct open_call *o = &owner->calls[c->place.slot & (CALL_SLOTS - 1)];
  if (o->id == c->place.id) o->key = o->id;
}

// The caller of a waiting call and one that finds it in its own place meet here: 0 when the other was first.
static __always_inline int change_pending(struct client_call *c, __u32 from, __u32 to) {
  __u32 *word = (__u32 *)&c->sampled, before = *word;
  return before >> 24 == from && __sync_val_compare_and_swap(word, before, (before & 0xffffff) | to << 24) == before;
}

_Static_assert(__builtin_offsetof(struct client_call, sampled) % 4 == 0, "a word of its own");
_Static_assert(__builtin_offsetof(struct client_call, pending) == __builtin_offsetof(struct client_call, sampled) + 3, "its last byte");

// 0 when what is there has ended.
static __always_inline int share_call(__u64 process, struct client_call *mark, const struct client_call *c) {
  __sync_fetch_and_add(&mark->sharers, 1);
  if (mark->pending != PENDING_SHARED) {
    if (mark->output < mark->since) mark->output = mark->since;
    if (change_pending(mark, PENDING_NONE, PENDING_SHARED)) {
      keep_by_number(process, mark);
    } else if (mark->pending != PENDING_SHARED) {
      __sync_fetch_and_add(&mark->sharers, -1);
      return 0;
    }
  }
  mark->since = c->since;
  keep_by_number(process, c);
  return 1;
}

static __always_inline void unshare_call(struct client_call *mark, __u64 process, __u64 path) {
  if (__sync_fetch_and_add(&mark->sharers, -1) <= 1) remove_call(process, path);
}

// A call has failed that is under a mark, or was under one before. 1 when no request has been written under this mark
// since the call began: neither was its own. Of one that was cancelled a connection may still write the request, and
// its place stays taken.
static __always_inline int leave_shared(__u64 process, const struct open_call *o, __u64 since) {
  struct client_call *mark = find_call(process, o->path);
  if (!mark || mark->pending != PENDING_SHARED || mark->output > since) return 0;
  if (o->key == o->id) remove_call(process, o->id);
  unshare_call(mark, process, o->path);
  return 1;
}

struct waiting_search {
  struct caller *c;
  __u64 path; // 0: a call of `/`, whichever text it has
  __u64 id;   // the lowest
  __u64 slot;
  __u64 found; // the path of it
  __u64 several; // texts
};

static long search_waiting(__u32 index, struct waiting_search *f) {
  struct open_call *o = &f->c->calls[index & (CALL_SLOTS - 1)];
  if (!(f->c->open >> (index & (CALL_SLOTS - 1)) & 1)) return 0;
  if (f->path ? o->path != f->path || !is_shared(o) : !o->root || (o->key != o->path && !is_shared(o))) return 0;
  if (f->id && f->found != o->path) f->several = 1;
  if (f->id && f->id < o->id) return 0;
  f->id = o->id;
  f->slot = index;
  f->found = o->path;
  return 0;
}

// From now on a call of this task waits under the entries of its HeaderMap.
static __always_inline void link_waiting(__u64 process, struct caller *c, __u64 path, __u64 entries) {
  struct waiting_search f = {.c = c, .path = path};
  bpf_loop(CALL_SLOTS, search_waiting, &f, 0);
  if (!f.id || f.several) return;
  struct open_call *o = &c->calls[f.slot & (CALL_SLOTS - 1)];
  struct client_call *found = find_call(process, o->key);
  if (!found || found->place.id != f.id || found->pending == PENDING_DONE) return;
  struct client_call copy = *found;
  if (is_shared(o)) {
    struct client_call *mark = find_call(process, f.found);
    remove_call(process, f.id);
    if (mark && mark->pending == PENDING_SHARED) unshare_call(mark, process, f.found);
  } else {
    found->pending = PENDING_DONE;
  }
  copy.pending = PENDING_NONE;
  copy.sharers = 1;
  struct library_key key = {.pointer = entries, .process = process};
  if (bpf_map_update_elem(&calls, &key, &copy, BPF_ANY)) count(COUNTER_MAP_FULL);
  o->key = entries;
}

// The call whose head the current task has encoded last and not yet written. PENDING_UNKNOWN: hyper has, for a
// caller that is not known.
static __always_inline struct client_call *pending_call(__u64 process, __u64 task) {
  struct task_key key = {.task = caller_key(task), .process = process};
  struct client_call *c = bpf_map_lookup_elem(&drivers, &key);
  return c && c->pending != PENDING_NONE ? c : 0;
}

static __always_inline void fill_call_ids(struct event_request *r, const struct client_call *c) {
  __builtin_memcpy(r->trace_id, c->ids, 24); // the span id is next to it
  __builtin_memcpy(r->parent_id, c->parent, 8);
  r->trace_flags = c->trace_flags;
  r->socket = c->place.id;
}

// ---- connections that callers wait for ----

static __always_inline void connect_begins(__u64 process, __u64 task, __u16 port) {
  struct caller *c = caller_here(process, task);
  if (!c) return;
  c->connects++;
  c->connect_port = port;
}

static __always_inline void connect_ends(__u64 process, __u64 task, int established, int error,
                                         __u16 port) {
  struct caller *c = caller_here(process, task);
  if (!c) return;
  if (established) c->established++;
  if (!error) return;
  c->connect_error = error;
  c->connect_port = port;
}
