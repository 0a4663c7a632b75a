// Library tier for hyper 0.14 and 1.x: above TLS, keyed by the connection's `&mut req_method`.
#pragma once

static const struct library_connection NEW_LIBRARY_CONNECTION = {};

// What a task has read last, of a connection that the process has accepted and that no parser has.
static __always_inline struct last_read *early_read(struct recent_key *place, __u64 task) {
  struct last_read *read = task ? reads_find(place) : 0;
  return read && is_read_by(read, task) ? read : 0;
}

// The connection under a parser's: what its task has read last. A parser whose buffer was empty before has its bytes from
// there. Without a task id the thread alone decides. One whose first bytes came with the handshake has read nothing itself: its
// task may have gone on in another thread, or have read from a client of its own meanwhile; a connection that the process has
// accepted goes first. At later calls, `first` being 0, nothing else is taken. What another parser has had is not; the same one
// may have been forgotten, when its socket was closed with bytes left to read.
static __always_inline struct last_read *read_below(struct thread *thread, struct recent_key *place,
                                                    const struct library_key *key, __u64 task, int first) {
  int own = thread && is_read_by(&thread->read, task) &&
            (!thread->read.above || thread->read.above == key->pointer);
  if (thread && own && (thread->read.accepted || (first && !task))) return &thread->read;
  struct last_read *early = early_read(place, task);
  if (early) return early;
  return thread && own && first ? &thread->read : 0;
}

static __always_inline void find_socket(struct library_connection *l, struct thread *thread,
                                        const struct library_key *key, __u64 task, int first) {
  struct task_key own = {.task = task, .process = key->process};
  struct recent_key place = task_place(&own);
  struct last_read *read = read_below(thread, &place, key, task, first);
  if (!read) return;
  __u64 socket = read->connection;
  __u8 tls = read->tls, closed = read->closed, by_socket = read->by_socket;
  struct library_key *above = first ? 0 : bpf_map_lookup_elem(&library_sockets, &socket);
  if (above && above->pointer != key->pointer) return;
  l->addresses = read->addresses;
  RECENT_BARRIER;
  if (read->connection != socket || !is_read_by(read, task)) { // its place was taken for another task's meanwhile
    __builtin_memset(&l->addresses, 0, sizeof l->addresses);
    return;
  }
  read->above = key->pointer;
  reads_forget(&place);
  l->tls = tls;
  l->closed = closed;
  l->by_socket = by_socket;
  l->socket = socket;
  bpf_map_update_elem(&library_sockets, &l->socket, key, BPF_ANY);
  // In this order, and the other way round where sockets close: one of the two sees the other, and what it needs of it.
  if (bpf_map_lookup_elem(&closed_sockets, &l->socket)) l->closed = 1;
}

static __always_inline struct library_connection *library_connection_of(const struct library_key *key, __u64 task,
                                                                        struct target *target) {
  struct library_connection *l = bpf_map_lookup_elem(&library_connections, key);
  // A connection stays in its task: another one has the address now, and the end of the last was not seen.
  if (l && l->task == task && l->socket) return l;
  struct thread *thread = bpf_task_storage_get(&threads, current_thread(), 0, 0);
  int first = !l || l->task != task;
  if (first) {
    if (l && l->task && task && l->socket && thread && thread->read.connection == l->socket)
      distrust_slot(target, DOUBT_TASK_MOVED, task);
    if (bpf_map_update_elem(&library_connections, key, &NEW_LIBRARY_CONNECTION, BPF_ANY)) {
      count(COUNTER_MAP_FULL);
      return 0;
    }
    l = bpf_map_lookup_elem(&library_connections, key);
    if (!l) return 0;
    l->id = new_connection_id();
    l->task = task;
  }
  find_socket(l, thread, key, task, first);
  return l;
}

static __always_inline void library_request(struct library_connection *l, struct feed *f, __u64 process, __u32 site) {
  struct event_request *r = &f->s->request;
  if (l->open) miss_answer(site);
  if (l->open && l->sampled) emit_closed(f->s, f->now, l->id, l->id, process, l->task, l->received, FLAG_LOST);
  l->open = 1;
  l->task = f->task;
  fill_header(&r->header, EVENT_REQUEST, f->now);
  r->header.connection = l->id;
  r->header.task = f->task;
  r->header.sequence = l->received;
  if (l->tls) r->header.flags |= FLAG_TLS;
  if (l->socket) f->target->tls++; // which does not show it
  r->start_ns = l->head_start_ns ? l->head_start_ns : f->now;
  r->socket = l->socket;
  r->source = SOURCE_LIBRARY;
  PUT_ADDRESSES(r, &l->addresses);
  f->s->now = f->now;
  l->sampled = submit_request(f->s);
  if (f->target->flags & (TARGET_ROUTES | TARGET_CONTEXTS)) task_request(process, f->task, l->id, r, f->target->slot_site);
  l->received++;
  l->head_start_ns = 0;
  // The peer has reset the connection before its request was read: nothing can be answered.
  if (l->closed) emit_closed(f->s, f->now, l->socket, l->id, process, f->task, l->received, 0);
}

// The whole buffer is read anew at each call: pieces sent for a head that is still incomplete are recalled.
static long library_step(__u32 index, struct feed *f) {
  int result = head_step(f);
  if (result != HEAD_MORE) {
    f->s->result = result;
    return 1;
  }
  if (f->s->have < WINDOW) return 0;
  if (!f->client) emit_piece(f, f->library);
  slide_window(f);
  return 0;
}

static __always_inline int parse_head(__u64 pointer, __u64 size, struct feed *f, int response) {
  if (size > 1 << 20) return HEAD_BAD;
  begin_head(f, response);
  f->s->pointer = pointer;
  f->s->left = size;
  f->s->doubt = 0;
  f->s->result = HEAD_BAD;
  bpf_loop(1024, library_step, f, 0);
  return f->s->result;
}

// Two words of a structure; not 0 when they can't be read. Side by side, as in every build so far: one read.
static __always_inline long read_pair(__u64 at, __u16 first, __u16 second, __u64 *a, __u64 *b) {
  __u64 both[2];
  if (second == first + 8) {
    long error = bpf_probe_read_user(both, 16, (void *)(at + first));
    *a = both[0];
    *b = both[1];
    return error;
  }
  return bpf_probe_read_user(a, 8, (void *)(at + first)) | bpf_probe_read_user(b, 8, (void *)(at + second));
}

// ParseContext, whose pointer to the method names the connection. Inlined copies may have it elsewhere.
static __always_inline __u64 parse_context(struct pt_regs *ctx) {
  __u64 registers = attach_cookie(ctx) >> COOKIE_REGISTER_SHIFT;
  return registers ? register_value(ctx, registers >> 4 & 15) : ctx->dx;
}

// `inside`: at the end of an inlined parser, where the head is whole. The connection's key lies so far from the buffer.
static __always_inline int hyper_parse(struct pt_regs *ctx, int inside) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_LIBRARY)) return 0;
  struct binary_layout *layout = layout_of(ctx);
  if (!layout) return 0;
  struct library_key key = {.process = process};
  __u64 pointer = 0, size = 0, buffer = ctx->si;
  __u32 site = site_of(ctx);
  struct site_check *c = check_of(site);
  if (inside) key.pointer = buffer - (__s16)offset_of(ctx);
  else if (bpf_probe_read_user(&key.pointer, 8, (void *)(parse_context(ctx) + layout->parse_context_req_method)))
    return distrust(site, DOUBT_MEMORY, parse_context(ctx), 0);
  if (read_pair(buffer, layout->bytes_mut_pointer, layout->bytes_mut_length, &pointer, &size))
    return distrust(site, DOUBT_MEMORY, buffer, 0);
  if (!size) return 0; // hyper asks before it has read
  if (!is_address(pointer)) return distrust(site, DOUBT_POINTER, pointer, buffer);
  if (size > LARGEST_BUFFER) return distrust(site, DOUBT_SIZE, size, buffer);
  if (!points(c, key.pointer)) return distrust(site, DOUBT_POINTER, key.pointer, buffer);
  __u64 task = current_task_id(target);
  struct library_connection *l = library_connection_of(&key, task, target);
  if (!l || l->by_socket) return 0;
  struct feed f = {.target = target, .task = task, .now = bpf_ktime_get_ns(), .library = l->id};
  f.s = scratch_take();
  if (!f.s) return 0;
  int result = parse_head(pointer, size, &f, 0);
  if (result == HEAD_DONE && trusted(c)) {
    library_request(l, &f, process, site);
  } else {
    if (f.s->sent) emit_head_dropped(f.now, l->id);
    if (result == HEAD_WAIT && !l->head_start_ns) l->head_start_ns = f.now;
    if (f.s->doubt) distrust(site, f.s->doubt, pointer, buffer);
    // In plaintext the sockets take what is HTTP: what is left here is whatever anyone sends.
    else if (result == HEAD_BAD && l->tls && !f.s->scan.head.http2) find_odd(site, size, pointer);
  }
  scratch_give(f.s);
  return 0;
}

// `written`: what calls the encoder, which is inlined there. It is given the head itself, and the connection.
static __always_inline int hyper_encode(struct pt_regs *ctx, int written) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_LIBRARY)) return 0;
  struct binary_layout *layout = layout_of(ctx);
  if (!layout) return 0;
  struct library_key key = {.pointer = ctx->di, .process = process};
  __u64 head = ctx->si;
  __u16 status = 0;
  __u32 site = site_of(ctx);
  struct site_check *check = check_of(site);
  if (!written && read_pair(ctx->si, layout->encode_head, layout->encode_req_method, &head, &key.pointer))
    return distrust(site, DOUBT_MEMORY, ctx->si, 0);
  if (!points(check, key.pointer)) return distrust(site, DOUBT_POINTER, key.pointer, ctx->si);
  struct library_connection *c = bpf_map_lookup_elem(&library_connections, &key);
  if (!c || !c->open) return 0;
  if (bpf_probe_read_user(&status, 2, (void *)(head + layout->head_status)))
    return distrust(site, DOUBT_MEMORY, head, ctx->si);
  if (!is_status(status)) return distrust(site, DOUBT_STATUS, status, head);
  if (!trusted(check)) return 0;
  struct scratch *s = scratch_take();
  if (!s) return 0;
  c->open = 0;
  __u64 now = bpf_ktime_get_ns();
  struct event_response *e = begin_response(s, EVENT_RESPONSE, now, c->id, c->task, c->received - 1);
  e->status = status;
  if (target->flags & (TARGET_ROUTES | TARGET_CONTEXTS)) take_routes(e, process, c->task, c->id);
  if (c->sampled) submit_response(e);
  scratch_give(s);
  return 0;
}

SEC("uprobe.multi")
int hyper_server_parse(struct pt_regs *ctx) {
  guard_begin();
  hyper_parse(ctx, 0);
  guard_end();
  return 0;
}

SEC("uprobe.multi")
int hyper_server_parse_at(struct pt_regs *ctx) {
  guard_begin();
  hyper_parse(ctx, 1);
  guard_end();
  return 0;
}

SEC("uprobe.multi")
int hyper_server_encode(struct pt_regs *ctx) {
  guard_begin();
  hyper_encode(ctx, 0);
  guard_end();
  return 0;
}

SEC("uprobe.multi")
int hyper_server_write_head(struct pt_regs *ctx) {
  guard_begin();
  hyper_encode(ctx, 1);
  guard_end();
  return 0;
}
