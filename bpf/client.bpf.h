// The caller's side of hyper's clients, the connections they write to, and what tasks inherit.
#pragma once

// ---- tasks ----

// The task that handles the HTTP/2 stream which this one has just accepted.
static __always_inline struct context *stream_begins(const struct target *target, const struct task_key *key,
                                                     __u64 maker) {
  struct thread *t = bpf_task_storage_get(&threads, current_thread(), 0, 0);
  if (!t || !t->accepts.known || t->accepting != maker) return 0;
  if (target->flags & TARGET_ROUTES && !t->accepts.grpc) {
    struct task_key here = {.task = maker, .process = key->process};
    struct task_connection *routes = bpf_map_lookup_elem(&stream_tasks, &here);
    if (routes && routes->connection == t->accepted && bpf_map_update_elem(&stream_tasks, key, routes, BPF_ANY))
      count(COUNTER_MAP_FULL);
  }
  return &t->accepts;
}

#define LATE_TASKS 65536 // that other threads may draw before this one gets from the counter to the probe

// Ids are drawn from one counter.
static __always_inline int is_new_task(__u32 site, struct site_check *c, const struct task_key *key) {
  if (key->task >= LARGEST_TASK) return distrust(site, DOUBT_TASK, key->task, 0);
  if (!c) return 1;
  int same = c->process == key->process;
  if (same && (key->task == c->last || key->task + LATE_TASKS < c->last))
    return distrust(site, DOUBT_TASK_ORDER, key->task, 0);
  if (same && key->task < c->last) return 1;
  c->process = key->process;
  c->last = key->task;
  return 1;
}

// A task is made: it works for what its maker works for.
static __always_inline void task_new(struct pt_regs *ctx) {
  __u64 process;
  __u8 orphan;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_CONTEXTS)) return;
  struct task_key key = {.task = register_of(ctx), .process = process};
  if (!key.task) return; // the counter has wrapped: the next one is taken
  __u32 site = site_of(ctx);
  struct site_check *c = check_of(site);
  if (!is_new_task(site, c, &key) || !trusted(c)) return;
  __sync_fetch_and_add(&target->tasks, 1);
  __u64 task = current_task_id(target);
  if (task >= key.task) { // it was drawn before this one
    distrust_slot(target, DOUBT_TASK_ORDER, task);
    return;
  }
  struct site_check *slot = check_of(target->slot_site);
  task_made(slot, process, key.task);
  if (task) task_seen(slot, process, task);
  __u64 maker = caller_key(task);
  struct caller *caller = target->flags & TARGET_CALLS ? caller_here(process, maker) : 0;
  if (caller && caller->open) {
    caller->spawned = 1;
    bpf_map_update_elem(&makers, &key, &maker, BPF_ANY);
  }
  struct context *parent = target->flags & TARGET_STREAMS ? stream_begins(target, &key, task) : 0;
  if (!parent) parent = current_context(target, process, task, &orphan);
  if (!parent) return;
  struct context copy = *parent;
  copy.handed = 0;
  struct recent_key place = task_place(&key);
  born_put(&place, &copy);
}

// ---- the caller's side ----

#define REQUEST_BYTES 256 // of http::Request: its Parts
#define RAW_ENTRY (WINDOW + REQUEST_BYTES)
#define ENTRY_BYTES 128 // Bucket<HeaderValue>
#define MAX_ENTRIES 64
#define REQUEST_MASK (REQUEST_BYTES - 8)

static __always_inline __u64 member(const __u8 *request, __u16 offset) {
  return *(const __u64 *)(request + (offset & REQUEST_MASK));
}

static __always_inline __u8 byte_member(const __u8 *request, __u16 offset) {
  return request[offset & (REQUEST_BYTES - 1)];
}

static __always_inline __u8 scheme_of(const __u8 *request, __u16 offset) {
  __u8 tag = byte_member(request, offset), protocol = byte_member(request, offset + 1);
  if (tag == 0) return SCHEME_NONE;
  return tag == 1 ? (protocol == 0 ? SCHEME_HTTP : SCHEME_HTTPS) : SCHEME_OTHER;
}

// The authority, behind path and query in the record's data; gives the size of both.
static __always_inline __u32 read_authority(struct scratch *s, __u64 pointer, __u64 size) {
  struct event_call *e = &s->call;
  __u32 path = s->fields, have = size > CALL_AUTHORITY ? CALL_AUTHORITY : size;
  if (path > CALL_PATH) path = CALL_PATH;
  if (size && bpf_probe_read_user(s->data + path, have, (void *)pointer)) have = 0;
  e->path_size = path;
  e->authority_size = have;
  e->full_authority_size = size > 0xffff ? 0xffff : size;
  return path + have;
}

// Under which pointer the connection will find the call: the HeaderMap's entries when one more header, Host,
// finds room without moving them; else the path, which only `/` loses on its way.
static __always_inline int has_room(const __u8 *request, const struct binary_layout *l) {
  __u64 length = member(request, l->request_entries_length);
  return length && length < member(request, l->request_entries_capacity);
}

static __always_inline __u64 key_of_call(const __u8 *request, const struct binary_layout *l) {
  return has_room(request, l) ? member(request, l->request_entries) : member(request, l->request_path);
}

// Its memory is another call's already, and its caller has not yet heard: it failed before it was written.
static __always_inline void gave_up_unwritten(__u64 process, const struct call_place *place) {
  struct caller *c = place->slot < CALL_SLOTS ? caller_of(process, place->caller) : 0;
  if (!c) return;
  struct open_call *o = &c->calls[place->slot & (CALL_SLOTS - 1)];
  if (o->id == place->id) o->unwritten = 1;
}

#define HANDED_NS 1000000

// Memory is used again soon: so are entries, which costs less than new ones. Another thread may have been first:
// under a path the two share it from then on.
static __always_inline void take_over(__u64 process, const struct library_key *key, struct client_call *there,
                                      __u64 before, const struct client_call *c) {
  int mine = there && __sync_val_compare_and_swap(&there->since, before, c->since) == before;
  if (!there) there = bpf_map_lookup_elem(&calls, key);
  if (mine && there->pending == PENDING_NONE) gave_up_unwritten(process, &there->place);
  if (!there) count(COUNTER_MAP_FULL);
  else if (mine || key->pointer != c->path) *there = *c;
  else if (!share_call(process, there, c)) *there = *c;
}

// ---- calls whose entries move ----

#define PRINT_MARK (1ULL << 63) // no pointer has it

// Of a HeaderMap: the places of its texts, in order. They stay when its entries move.
static __always_inline __u64 add_print(__u64 print, __u64 name, __u64 value) {
  return (print ^ (print >> 29) ^ name ^ value << 7 ^ value >> 57) * 0x9e3779b97f4a7c15ULL;
}

static __always_inline __u64 raw_word(struct scratch *s, __u32 at, __u16 offset) {
  return *(__u64 *)(s->data + at + (offset & (ENTRY_BYTES - 8)));
}

// Of a standard header there is no text.
static __always_inline __u64 name_place(struct scratch *s, const struct binary_layout *l, __u32 at) {
  return raw_word(s, at, l->entry_name_custom) ? raw_word(s, at, l->entry_name) : 0;
}

struct print_copy {
  struct scratch *s;
  const struct binary_layout *l;
  __u64 entries;
  __u64 count;
};

static long print_entry(__u32 index, struct print_copy *p) {
  struct scratch *s = p->s;
  const struct binary_layout *l = p->l;
  if (index >= p->count) return 1;
  if (bpf_probe_read_user(s->data + RAW_ENTRY, l->entry_size & (2 * ENTRY_BYTES - 1),
                          (void *)(p->entries + (__u64)index * l->entry_size))) {
    s->print = 0;
    return 1;
  }
  s->print = add_print(s->print, name_place(s, l, RAW_ENTRY), raw_word(s, RAW_ENTRY, l->entry_value));
  return 0;
}

// The channel adds a header, for which there is no room: the entries move. The call is kept by what does not; its span
// begins with its stream. Calls with the same texts in the same places at a time are nobody's.
static __always_inline void full_channel_call(struct scratch *s, struct target *target, const struct binary_layout *l,
                                              __u64 process) {
  const __u8 *r = s->data + WINDOW;
  struct print_copy p = {.s = s, .l = l, .entries = member(r, l->request_entries)};
  p.count = member(r, l->request_entries_length);
  if (!p.count || p.count > MAX_ENTRIES || !(target->flags & TARGET_CLIENT_STREAMS)) return;
  s->print = 0;
  bpf_loop(MAX_ENTRIES, print_entry, &p, 0);
  struct library_key key = {.pointer = s->print | PRINT_MARK, .process = process};
  struct client_call c = {.entries = key.pointer, .since = bpf_ktime_get_ns(), .scheme = SCHEME_OTHER}, *there;
  if (!s->print) return;
  __u8 orphan;
  needs_tasks(target);
  struct context *parent = current_context(target, process, current_task_id(target), &orphan);
  if (!parent) return; // its stream needs no call to be a root
  c.place.slot = NO_SLOT;
  there = bpf_map_lookup_elem(&calls, &key);
  if (there && c.since - there->since < SHARED_NS &&
      (there->pending == PENDING_NONE || there->pending == PENDING_SHARED)) {
    there->pending = PENDING_SHARED;
    there->since = c.since;
    return;
  }
  c.sampled = start_client_trace(s, c.ids, c.parent, &c.trace_flags, parent);
  if (bpf_map_update_elem(&calls, &key, &c, BPF_ANY)) count(COUNTER_MAP_FULL);
}

// What http::Request never has; 0: nothing. Path and query are read to the record's data, `fields` bytes. Only the first of
// them must be there: they may be in memory that was never touched.
__noinline int doubt_request(struct scratch *s, struct binary_layout *l) {
  if (!s || !l) return 0;
  const __u8 *r = s->data + WINDOW;
  __u64 path = member(r, l->request_path), size = member(r, l->request_path + 8);
  __u64 length = member(r, l->request_entries_length), capacity = member(r, l->request_entries_capacity);
  __u32 have = size > CALL_PATH ? CALL_PATH : size;
  s->fields = 0;
  if (byte_member(r, l->request_method) > LAST_METHOD) return DOUBT_METHOD;
  if (byte_member(r, l->request_scheme) > 2) return DOUBT_TEXT;
  if (!is_text(path, size) || !is_text(member(r, l->request_authority), member(r, l->request_authority + 8)))
    return DOUBT_POINTER;
  if (length > capacity || capacity > LARGEST_MAP || !is_entries(member(r, l->request_entries), length))
    return DOUBT_POINTER;
  if (!size) return 0;
  if (!bpf_probe_read_user(s->data, have, (void *)path)) s->fields = have;
  else if (bpf_probe_read_user(s->data, 1, (void *)path)) return DOUBT_MEMORY;
  return begins_path(s->data[0]) ? 0 : DOUBT_TEXT;
}

// `channel`: to a gRPC channel, which adds scheme and authority in another task.
static __always_inline void begin_call(struct pt_regs *ctx, struct scratch *s, struct target *target,
                                       struct binary_layout *l, __u64 process, __u64 request, int channel) {
  const __u8 *r = s->data + WINDOW;
  struct event_call *e = &s->call;
  if (bpf_probe_read_user(s->data + WINDOW, REQUEST_BYTES, (void *)request)) {
    distrust(site_of(ctx), DOUBT_MEMORY, request, 0);
    return;
  }
  __u32 doubt = doubt_request(s, l);
  if (doubt) {
    distrust(site_of(ctx), doubt, member(r, l->request_path), request + (l->request_path & ~31));
    return;
  }
  if (!trusted(check_of(site_of(ctx)))) return;
  struct client_call c = {.scheme = scheme_of(r, l->request_scheme)};
  if (c.scheme == SCHEME_NONE && !channel) return; // the client refuses it
  if (channel && !has_room(r, l)) {
    full_channel_call(s, target, l, process);
    return;
  }
  struct library_key key = {.process = process};
  key.pointer = channel ? member(r, l->request_entries) : key_of_call(r, l);
  __u64 task = current_task_id(target), path = member(r, l->request_path);
  if (task) task_seen(check_of(target->slot_site), process, task);
  struct client_call *there = find_call(process, key.pointer);
  __u64 before = there ? there->since : 0;
  int waits = there && there->pending != PENDING_ENDED && there->pending != PENDING_DONE;
  __builtin_memset(e, 0, sizeof *e);
  c.since = bpf_ktime_get_ns();
  if (waits && there->place.caller == caller_key(task) && there->path == path && key.pointer != path &&
      c.since - there->since < HANDED_NS)
    return; // from one function of the client to the next
  fill_header(&e->header, EVENT_CALL, c.since);
  struct context *parent = current_context(target, process, task, &e->orphan);
  c.sampled = start_client_trace(s, c.ids, c.parent, &c.trace_flags, parent);
  __sync_fetch_and_add(&target->calls, 1);
  needs_tasks(target);
  c.place.id = new_call_id();
  c.place.caller = caller_key(task);
  c.place.slot = NO_SLOT;
  c.path = path;
  c.entries = member(r, l->request_entries);
  c.place.slot = add_open_call(process, &c, key.pointer, !channel && member(r, l->request_path + 8) == 1, channel);
  if (c.sampled) {
    e->header.connection = c.place.id;
    e->header.task = task;
    if (channel) e->header.flags = FLAG_CHANNEL;
    if (parent) {
      e->header.flags |= FLAG_HAS_PARENT;
      e->orphan = ORPHAN_NONE;
    } else {
      count_orphan(e->orphan);
    }
    __builtin_memcpy(e->trace_id, c.ids, 24);
    __builtin_memcpy(e->parent_id, c.parent, 8);
    e->trace_flags = c.trace_flags;
    e->method = byte_member(r, l->request_method);
    e->scheme = c.scheme;
    e->full_path_size = member(r, l->request_path + 8);
    __u64 size =
        read_authority(s, member(r, l->request_authority), channel ? 0 : member(r, l->request_authority + 8));
    if (size > CALL_AUTHORITY + CALL_PATH) size = CALL_AUTHORITY + CALL_PATH;
    submit(e, sizeof *e + size);
  }
  if (waits && key.pointer == path && c.since - there->since < SHARED_NS && share_call(process, there, &c)) return;
  c.sharers = 1;
  if (there || bpf_map_update_elem(&calls, &key, &c, BPF_NOEXIST)) take_over(process, &key, there, before, &c);
}

static __always_inline void client_call(struct pt_regs *ctx, __u64 request, int channel) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_CALLS)) return;
  struct binary_layout *layout = layout_of(ctx);
  if (!layout) return;
  struct scratch *s = scratch_take();
  if (!s) return;
  begin_call(ctx, s, target, layout, process, request, channel);
  scratch_give(s);
}

// A request is handed to its connection, in the task that polls the call: all headers are there. Of calls that
// share a path the task's oldest is taken; two of one task differ in nothing but when they began.
static __always_inline void client_send(struct pt_regs *ctx) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_CALLS)) return;
  struct binary_layout *l = layout_of(ctx);
  if (!l) return;
  __u64 entries = 0, path = 0;
  if (bpf_probe_read_user(&path, 8, (void *)(ctx->dx + l->request_path)) ||
      bpf_probe_read_user(&entries, 8, (void *)(ctx->dx + l->request_entries))) {
    distrust(site_of(ctx), DOUBT_MEMORY, ctx->dx, 0);
    return;
  }
  if (!is_entries(entries, 0) || !path) {
    distrust(site_of(ctx), DOUBT_POINTER, entries, ctx->dx + (l->request_entries & ~7));
    return;
  }
  if (!trusted(check_of(site_of(ctx)))) return;
  struct client_call *waits = find_call(process, path);
  struct caller *c = caller_here(process, caller_key(current_task_id(target)));
  if (!c) return;
  if (waits) {
    if (waits->pending == PENDING_SHARED) link_waiting(process, c, path, entries);
    return;
  }
  struct client_call *moved = find_call(process, entries);
  if (!moved || moved->pending == PENDING_DONE) link_waiting(process, c, 0, entries);
}

// ---- the connection's side ----

static __always_inline struct client_connection *client_connection_of(const struct library_key *key) {
  struct client_connection *l = bpf_map_lookup_elem(&client_connections, key);
  if (l) return l;
  struct client_connection fresh = {};
  fresh.id = new_connection_id();
  if (bpf_map_update_elem(&client_connections, key, &fresh, BPF_ANY)) return 0;
  return bpf_map_lookup_elem(&client_connections, key);
}

static __always_inline void library_client_request(const struct library_key *key, const struct client_call *call,
                                                   __u64 task, __u32 site) {
  struct client_connection *l = client_connection_of(key);
  struct scratch *s = l ? scratch_take() : 0;
  if (!s) return;
  struct event_request *r = &s->request;
  if (l->open && l->task == task) miss_answer(site); // it waits for one answer before it is used again
  l->task = task;
  l->call = call->place;
  l->open = 1;
  l->sampled = call->sampled;
  l->tls = call->scheme == SCHEME_HTTPS;
  l->sequence++;
  if (l->sampled) {
    __builtin_memset(r, 0, sizeof *r);
    r->start_ns = bpf_ktime_get_ns();
    fill_header(&r->header, EVENT_CLIENT_REQUEST, r->start_ns);
    r->header.connection = l->id;
    r->header.task = task;
    r->header.sequence = l->sequence - 1;
    if (l->tls) r->header.flags |= FLAG_TLS;
    r->source = SOURCE_LIBRARY;
    fill_call_ids(r, call);
    submit_head(s, 0);
  }
  scratch_give(s);
}

static __always_inline void leave_pending(__u64 process, __u64 task, struct client_call *call, __u8 pending) {
  struct task_key key = {.task = caller_key(task), .process = process};
  call->pending = pending;
  struct client_call *known = bpf_map_lookup_elem(&drivers, &key);
  if (known) *known = *call;
  else if (bpf_map_update_elem(&drivers, &key, call, BPF_ANY)) count(COUNTER_MAP_FULL);
}

#define ENDED_NS 1000000000

// Under TLS: what is read next from this connection answers a request that is not of a known call.
static __always_inline void not_followed(const struct target *target, const struct library_key *key) {
  struct client_connection *l =
      target->flags & TARGET_CLIENT_LIBRARY ? bpf_map_lookup_elem(&client_connections, key) : 0;
  if (l) l->open = 0;
}

// `written`: what calls the encoder, which is inlined there. It is given the head itself, and the connection.
static __always_inline void client_encode(struct pt_regs *ctx, int written) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_CALLS)) return;
  struct binary_layout *l = layout_of(ctx);
  if (!l) return;
  struct library_key key = {.process = process};
  __u64 head = ctx->si, entries = 0, path = 0;
  __u64 task = current_task_id(target);
  struct client_call copy = {};
  __u32 site = site_of(ctx);
  struct site_check *c = check_of(site);
  if (written) key.pointer = ctx->di;
  int unread = (!written &&
                read_pair(ctx->si, l->client_encode_head, l->client_encode_req_method, &head, &key.pointer)) ||
               bpf_probe_read_user(&entries, 8, (void *)(head + l->client_head_entries));
  if (unread || !points(c, key.pointer) || !is_entries(entries, 0)) {
    __u64 value = unread ? head : is_entries(entries, 0) ? key.pointer : entries;
    distrust(site, unread ? DOUBT_MEMORY : DOUBT_POINTER, value, ctx->si);
    leave_pending(process, task, &copy, PENDING_UNKNOWN);
    return;
  }
  if (!trusted(c)) {
    leave_pending(process, task, &copy, PENDING_UNKNOWN);
    return;
  }
  struct client_call *call = find_call(process, entries);
  if (!call || call->pending == PENDING_DONE) {
    if (bpf_probe_read_user(&path, 8, (void *)(head + l->client_head_path))) path = 0;
    call = find_call(process, path);
  }
  if (!call || call->pending == PENDING_DONE) {
    not_followed(target, &key);
    leave_pending(process, task, &copy, PENDING_UNKNOWN);
    return;
  }
  copy = *call;
  copy.output = written ? 0 : ctx->dx;
  if (copy.pending == PENDING_SHARED) __sync_fetch_and_add(&target->links, 1);
  if (copy.sharers > 1 || copy.pending == PENDING_SHARED) {
    count(COUNTER_CALL_UNLINKED);
    not_followed(target, &key);
    leave_pending(process, task, &copy, PENDING_SHARED);
    call->output = bpf_ktime_get_ns();
    unshare_call(call, process, copy.path);
    return;
  }
  call->pending = PENDING_DONE;
  __sync_fetch_and_add(&target->links, 1);
  if (copy.pending == PENDING_ENDED) {
    int late = bpf_ktime_get_ns() - copy.since < ENDED_NS;
    not_followed(target, &key);
    leave_pending(process, task, &copy, late ? PENDING_SHARED : PENDING_UNKNOWN);
    return;
  }
  int library = target->flags & TARGET_CLIENT_LIBRARY &&
                (copy.scheme == SCHEME_HTTPS || target->flags & TARGET_CLIENT_LIBRARY_PLAINTEXT);
  if (library) {
    library_client_request(&key, &copy, task, site);
    copy.path = key.pointer;
    leave_pending(process, task, &copy, PENDING_TLS);
  } else if (copy.scheme != SCHEME_HTTPS) {
    leave_pending(process, task, &copy, PENDING_CALL);
  }
}

static __always_inline void put_thread_addresses(struct event_client_response *e, __u64 task) {
  struct thread *thread = bpf_task_storage_get(&threads, current_thread(), 0, 0);
  if (thread && is_read_by(&thread->read, task)) PUT_ADDRESSES(e, &thread->read.addresses);
}

static __always_inline void library_client_response(struct client_connection *l, struct feed *f, __u64 process) {
  struct scan *scan = &f->s->scan;
  if (is_interim(&scan->head)) return;
  l->open = 0;
  call_answered(process, &l->call);
  if (!l->sampled) return;
  struct event_client_response *e =
      begin_client_response(f->s, EVENT_CLIENT_RESPONSE, f->now, l->id, l->call.id, l->sequence - 1);
  e->header.task = f->task;
  e->status = scan->head.status;
  put_thread_addresses(e, f->task);
  submit_client_response(e, client_data_size(f->s));
}

// `inside`: as in hyper_parse.
static __always_inline void client_parse(struct pt_regs *ctx, int inside) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_CLIENT_LIBRARY)) return;
  struct binary_layout *layout = layout_of(ctx);
  if (!layout) return;
  struct library_key key = {.process = process};
  __u64 buffer = ctx->si;
  __u32 site = site_of(ctx);
  struct site_check *c = check_of(site);
  if (inside) {
    key.pointer = buffer - (__s16)offset_of(ctx);
  } else if (bpf_probe_read_user(&key.pointer, 8, (void *)(parse_context(ctx) + layout->client_parse_req_method))) {
    distrust(site, DOUBT_MEMORY, parse_context(ctx), 0);
    return;
  }
  if (!points(c, key.pointer)) {
    distrust(site, DOUBT_POINTER, key.pointer, buffer);
    return;
  }
  struct client_connection *l = bpf_map_lookup_elem(&client_connections, &key);
  if (!l || !l->open) return;
  __u64 pointer = 0, size = 0;
  int unread = read_pair(buffer, layout->bytes_mut_pointer, layout->bytes_mut_length, &pointer, &size) != 0;
  if (!unread && !size) return;
  if (unread || !is_address(pointer) || size > LARGEST_BUFFER) {
    distrust(site, unread ? DOUBT_MEMORY : DOUBT_POINTER, unread ? buffer : pointer, unread ? 0 : buffer);
    return;
  }
  struct feed f = {.target = target, .task = current_task_id(target), .now = bpf_ktime_get_ns(), .library = l->id};
  f.client = 1;
  f.s = scratch_take();
  if (!f.s) return;
  int result = parse_head(pointer, size, &f, 1);
  if (result == HEAD_DONE && trusted(c)) library_client_response(l, &f, process);
  else if (f.s->doubt) distrust(site, f.s->doubt, pointer, buffer);
  else if (result == HEAD_BAD) find_odd(site, size, pointer);
  scratch_give(f.s);
}

// ---- ends without a response ----

#define FUTURE_BYTES 2048 // reqwest 0.12: the path's pointer is at 0x408
#define NOT_FOUND FUTURE_BYTES

struct path_search {
  struct scratch *s;
  __u64 path;
  __u64 found;
};

static long search_word(__u32 index, struct path_search *p) {
  if (*(__u64 *)(p->s->data + (index * 8 & WINDOW_MASK)) != p->path) return 0;
  p->found = index;
  return 1;
}

struct nearest {
  __u64 word; // of the future
  __u64 holds; // calls whose path is there
};

struct future_search {
  struct scratch *s;
  struct caller *c;
  struct nearest open;
  struct nearest answered;
};

static __always_inline void search_path(struct future_search *f, struct nearest *n, __u64 path, __u64 bit) {
  struct path_search p = {.s = f->s, .path = path, .found = NOT_FOUND};
  bpf_loop(n->word + 1, search_word, &p, 0);
  if (p.found < n->word) {
    n->word = p.found;
    n->holds = bit;
  } else if (p.found == n->word) {
    n->holds |= bit;
  }
}

// The future holds its URI to the end: the pointer of the path tells whose it is. What is read may reach into
// the next future of the same task, whose path comes behind its own, and hold what was moved away or freed.
static long search_call(__u32 index, struct future_search *f) {
  __u64 bit = 1ULL << (index & (CALL_SLOTS - 1)), path = f->c->calls[index & (CALL_SLOTS - 1)].path;
  if (f->c->open & bit) search_path(f, &f->open, path, bit);
  else if (f->c->answered & bit) search_path(f, &f->answered, path, bit);
  return 0;
}

// It may be smaller, at the end of mapped memory. A read that fails leaves zeros.
static __always_inline int read_future(struct scratch *s, __u64 future) {
  if (!bpf_probe_read_user(s->data, FUTURE_BYTES, (void *)future)) return 1;
  if (!bpf_probe_read_user(s->data, FUTURE_BYTES / 2, (void *)future)) return 1;
  if (!bpf_probe_read_user(s->data, FUTURE_BYTES / 4, (void *)future)) return 1;
  return 0;
}

#define LAST_WORD (FUTURE_BYTES / 8 - 1)

// Bit of the call that the future is of. One that has returned is most likely an answered call's, and one that has not
// is not.
static __always_inline __u64 call_of_future(struct caller *c, struct scratch *s, __u8 state) {
  struct future_search f = {.s = s, .c = c, .open.word = LAST_WORD, .answered.word = LAST_WORD};
  bpf_loop(CALL_SLOTS, search_call, &f, 0);
  __u64 first = state == FUTURE_RETURNED ? f.answered.holds : f.open.holds;
  if (!first && c->crowded && state == FUTURE_RETURNED) return 0; // rather another call's path than its own
  return lowest_bit(first ? first : f.open.holds | f.answered.holds);
}

#define STATE_UNKNOWN 0xffff
#define LAST_STATE 63 // of a future: three, and one for each place where it waits

// The byte, -1 when it is not known.
static __always_inline int state_byte(__u64 future, __u32 offset) {
  __u8 state = 0;
  if (offset == STATE_UNKNOWN || bpf_probe_read_user(&state, 1, (void *)(future + offset))) return -1;
  return state;
}

static __always_inline __u8 future_state(int state) {
  if (state < 0) return FUTURE_UNKNOWN;
  return state == 1 || state == 2 ? FUTURE_RETURNED : FUTURE_SUSPENDED;
}

static __always_inline void emit_call_end(struct caller *c, const struct open_call *o, __u64 process, __u8 state,
                                          __u64 task, int writes_seen) {
  struct event_call_end e = {};
  __u64 key = o->key;
  struct client_call *call = find_call(process, key);
  int waiting = call && call->place.id == o->id && call->pending != PENDING_DONE;
  int unwritten = waiting || o->unwritten;
  if (key == o->id || (waiting && call->pending == PENDING_SHARED)) { // of most of them nobody knows
    int refused = c->connect_error && !c->established;
    int tls_failed = c->established && !c->connect_error && waiting && call->scheme == SCHEME_HTTPS && writes_seen;
    unwritten = waiting && (refused || tls_failed) && state == FUTURE_RETURNED && leave_shared(process, o, call->since);
    waiting = 0;
  }
  fill_header(&e.header, EVENT_CALL_END, bpf_ktime_get_ns());
  e.header.connection = o->id;
  e.header.task = task;
  e.state = state;
  e.written = !unwritten;
  e.given_up = c->given_up;
  e.spawned = c->spawned;
  e.connects = c->connects;
  e.established = c->established;
  e.connect_error = c->connect_error;
  e.connect_port = c->connect_port;
  if (o->sampled) submit(&e, sizeof e);
  // Its connection may be about to write it all the same: that is no request of its own.
  if (waiting && change_pending(call, PENDING_NONE, PENDING_ENDED)) call->since = e.header.time_ns;
  else if (waiting && call->pending == PENDING_SHARED) unshare_call(call, process, o->path);
  c->given_up = 0;
}

// 1 when the future is of one of these calls.
static __always_inline int call_ends(struct caller *c, struct scratch *s, __u64 process, __u64 task, __u8 state,
                                     int writes_seen) {
  __u64 bit = call_of_future(c, s, state);
  int late = c->given_up && c->streamed & bit; // its stream is reset next
  if (bit & c->open || late)
    emit_call_end(c, &c->calls[bit_index(bit) & (CALL_SLOTS - 1)], process, state, task, writes_seen);
  else if (bit) c->given_up = 0; // an error behind its response
  free_call(c, bit);
  return bit != 0;
}

static __always_inline void client_drop(struct pt_regs *ctx) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_CALLS)) return;
  __u64 task = current_task_id(target), own = caller_key(task);
  struct caller *c = caller_here(process, own);
  if (!c) return;
  if (!c->open && !(c->given_up && c->streamed & c->answered)) { // any of them
    free_call(c, lowest_bit(c->answered));
    c->given_up = 0;
    return;
  }
  struct scratch *s = scratch_take();
  if (!s) return;
  int byte = state_byte(ctx->di, offset_of(ctx));
  if (!read_future(s, ctx->di)) {
    distrust(site_of(ctx), DOUBT_MEMORY, ctx->di, 0);
  } else if (byte > LAST_STATE) {
    distrust(site_of(ctx), DOUBT_STATE, byte, ctx->di + offset_of(ctx));
  } else if (trusted(check_of(site_of(ctx)))) {
    __u8 state = future_state(byte);
    int seen = target->flags & TARGET_WRITES_SEEN;
    if (!call_ends(c, s, process, task, state, seen)) {
      struct caller *maker = maker_of(process, own);
      if (maker) call_ends(maker, s, process, task, state, seen);
    }
  }
  scratch_give(s);
}

// A channel's future holds nothing that names its call: of the task's calls, those that a stream carries return
// first, and of the others each return ends one.
static __always_inline void channel_drop(struct pt_regs *ctx) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_CALLS)) return;
  __u64 task = current_task_id(target);
  struct caller *c = caller_here(process, caller_key(task));
  if (!c) return;
  __u64 carried = lowest_bit(c->answered & c->channels), bit = lowest_bit(c->open & c->channels);
  if (!carried && bit)
    emit_call_end(c, &c->calls[bit_index(bit) & (CALL_SLOTS - 1)], process, FUTURE_UNKNOWN, task, 0);
  free_call(c, carried ? carried : bit);
}

static __always_inline void client_error(void) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_CALLS)) return;
  struct caller *c = caller_here(process, caller_key(current_task_id(target)));
  if (c) c->given_up = 1;
}

// ---- blocking clients: from the calling thread to the one that makes the request ----

// The text of a Url that reqwest can get.
static __always_inline int handoff_key(struct pt_regs *ctx, struct library_key *key) {
  __u64 at = register_of(ctx) + offset_of(ctx);
  __u32 scheme = 0, doubt = 0;
  if (bpf_probe_read_user(&key->pointer, 8, (void *)at)) doubt = DOUBT_MEMORY;
  else if (!is_address(key->pointer)) doubt = DOUBT_POINTER;
  else if (bpf_probe_read_user(&scheme, 4, (void *)key->pointer)) doubt = DOUBT_MEMORY;
  else if (scheme != ('h' | 't' << 8 | 't' << 16 | 'p' << 24)) doubt = DOUBT_TEXT;
  if (!doubt) return trusted(check_of(site_of(ctx)));
  distrust(site_of(ctx), doubt, doubt == DOUBT_MEMORY ? at : key->pointer, at);
  return 0;
}

// From now on the process needs the probe on `execute`: what is handed over stays with the client's thread until then.
static __always_inline void notice_blocking(void) {
  __u32 tgid = current_ids() >> 32;
  __u8 yes = 1;
  if (bpf_map_lookup_elem(&blockers, &tgid)) return;
  if (bpf_map_update_elem(&blockers, &tgid, &yes, BPF_ANY)) count(COUNTER_MAP_FULL);
  emit_process(EVENT_NEEDED, 0, FLAG_BLOCKING);
}

static __always_inline void blocking_call(struct pt_regs *ctx) {
  __u64 process;
  __u8 orphan;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_CALLS)) return;
  notice_blocking();
  struct library_key key = {.process = process};
  if (!handoff_key(ctx, &key)) return;
  struct context *parent = current_context(target, process, current_task_id(target), &orphan);
  if (!parent) {
    bpf_map_delete_elem(&handoffs, &key);
    return;
  }
  struct context copy = *parent;
  copy.handed = 1;
  if (bpf_map_update_elem(&handoffs, &key, &copy, BPF_ANY)) count(COUNTER_MAP_FULL);
}

// In the client's own thread, for one request after the other.
static __always_inline void blocking_execute(struct pt_regs *ctx) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_CALLS)) return;
  __sync_fetch_and_add(&target->executed, 1);
  struct library_key key = {.process = process};
  if (!handoff_key(ctx, &key)) return;
  __u64 task = current_task_id(target);
  struct task_key own = {.task = task, .process = process};
  struct recent_key place = task_place(&own);
  struct context *handed = bpf_map_lookup_elem(&handoffs, &key), *current = 0;
  if (!task) {
    struct thread *t =
        bpf_task_storage_get(&threads, current_thread(), 0, handed ? BPF_LOCAL_STORAGE_GET_F_CREATE : 0);
    if (t && handed) t->context = *handed;
    else if (t && t->context.handed) t->context.known = 0;
  } else if (handed) {
    struct context copy = *handed;
    born_put(&place, &copy);
  } else if ((current = born_find(&place)) && current->handed) {
    born_forget(&place);
  }
  if (handed) bpf_map_delete_elem(&handoffs, &key);
}

#define GUARDED(name, body)                                                                                \
  SEC("uprobe.multi")                                                                                      \
  int name(struct pt_regs *ctx) {                                                                          \
    guard_begin();                                                                                         \
    body;                                                                                                  \
    guard_end();                                                                                           \
    return 0;                                                                                              \
  }

GUARDED(tokio_task_new, task_new(ctx))
GUARDED(hyper_client_call, client_call(ctx, ctx->si - offset_of(ctx), 0))
GUARDED(hyper_client_call_at, client_call(ctx, register_of(ctx) - (__s16)offset_of(ctx), 0))
GUARDED(tonic_call, client_call(ctx, ctx->dx, 1))
GUARDED(tonic_drop, channel_drop(ctx))
GUARDED(hyper_client_send, client_send(ctx))
GUARDED(hyper_client_encode, client_encode(ctx, 0))
GUARDED(hyper_client_write_head, client_encode(ctx, 1))
GUARDED(hyper_client_parse, client_parse(ctx, 0))
GUARDED(hyper_client_parse_at, client_parse(ctx, 1))
GUARDED(hyper_client_drop, client_drop(ctx))
GUARDED(reqwest_error, client_error())
GUARDED(reqwest_blocking_call, blocking_call(ctx))
GUARDED(reqwest_execute, blocking_execute(ctx))
