// HTTP/2 of both sides, from h2 0.3 and 0.4: headers as the library has decoded them, above TLS and HPACK. A stream is
// named by the address of its connection's store of streams and its number, which every hook has.
#pragma once

#define RAW WINDOW              // of what is read, behind the record's data
#define RAW_FRAME (WINDOW + 512)
#define FRAME_BYTES 320         // frame::Headers
#define RAW_ENTRIES (WINDOW + 1024)
#define ENTRIES_BYTES 2048 // of the HeaderMap's entries, read at once when they are no more
#define FIELDS_LIMIT 2560       // no field begins behind it
#define FIELD_NAME 128
#define METHOD_EXTENSION 9 // http::Method's tags up to 8 are names; in http 1.5 up to 9
#define METHOD_INLINE 16
#define H2_CANCEL 8
// In x86 encodings.
#define RCX 1
#define RDX 2

enum headers { TRAILERS = 0, RECEIVED, SENT }; // whose pseudo headers are wanted

static __always_inline __u64 frame_word(struct scratch *s, __u16 offset) {
  return *(__u64 *)(s->data + RAW_FRAME + (offset & (512 - 8)));
}

static __always_inline __u16 frame_half(struct scratch *s, __u16 offset) {
  return *(__u16 *)(s->data + RAW_FRAME + (offset & (512 - 2)));
}

static __always_inline __u8 frame_byte(struct scratch *s, __u16 offset) { return s->data[RAW_FRAME + (offset & 511)]; }

// What a probe's function works on.
struct hit {
  struct target *target;
  struct binary_layout *l;
  struct site_check *check;
  __u64 cookie;
  struct stream_key key;
};

// In which registers a function has its arguments, see the cookie.
static __always_inline __u64 frame_argument(struct pt_regs *ctx, const struct hit *h) {
  return register_value(ctx, h->cookie >> COOKIE_REGISTER_SHIFT & 15);
}

static __always_inline __u64 stream_argument(struct pt_regs *ctx, const struct hit *h) {
  return register_value(ctx, h->cookie >> (COOKIE_REGISTER_SHIFT + 4) & 15);
}

static __always_inline void doubt_hit(const struct hit *h, __u32 doubt, __u64 value, __u64 address) {
  distrust(site_at(h->cookie), doubt, value, address);
}

// What the store's pointer is, or what it is found by. `address` as in distrust().
static __always_inline int is_store(const struct hit *h, __u64 pointer, __u64 address) {
  if (points(h->check, pointer)) return 1;
  doubt_hit(h, DOUBT_POINTER, pointer, address);
  return 0;
}

// RFC 9113 §5.1.1; 0 is the connection.
static __always_inline int is_stream(__u32 id) { return id && !(id >> 31); }

// Where a function has parts of what its source says: not a pointer to the stream or to DynStreams is in the register, but
// something so far behind the store, signed; and the stream's number in the other register.
static __always_inline int in_registers(const struct hit *h) { return h->cookie >> (COOKIE_REGISTER_SHIFT + 8) & 1; }

static __always_inline __u64 store_argument(struct pt_regs *ctx, const struct hit *h) {
  return stream_argument(ctx, h) - (__s16)(h->cookie >> COOKIE_OFFSET_SHIFT);
}

static __always_inline int is_hit(const struct hit *h, __u64 address) {
  if (!is_store(h, h->key.store, address)) return 0;
  if (is_stream(h->key.id)) return 1;
  doubt_hit(h, DOUBT_STREAM, h->key.id, address);
  return 0;
}

// store::Ptr. 0 when there is none.
static __always_inline int read_stream(struct pt_regs *ctx, struct hit *h) {
  const struct binary_layout *l = h->l;
  __u64 words[2], pointer = stream_argument(ctx, h);
  if (bpf_probe_read_user(words, 16, (void *)pointer)) {
    doubt_hit(h, DOUBT_MEMORY, pointer, 0);
    return 0;
  }
  h->key.store = words[l->stream_store >> 3 & 1];
  __u64 id = words[l->stream_id >> 3 & 1];
  h->key.id = l->stream_id & 4 ? id >> 32 : id;
  return is_hit(h, pointer);
}

// DynStreams: the same store, by its lock. 0 when there is none.
static __always_inline int read_store(struct pt_regs *ctx, struct hit *h) {
  __u64 lock = 0, streams = stream_argument(ctx, h);
  if (bpf_probe_read_user(&lock, 8, (void *)(streams + h->l->streams_inner))) {
    doubt_hit(h, DOUBT_MEMORY, streams, 0);
    return 0;
  }
  h->key.store = lock + h->l->inner_store;
  return is_store(h, lock, streams);
}

// These three: 0 when the process is not traced with any of `flags`, or memory can't be read.
static __always_inline int hit_target(struct pt_regs *ctx, __u32 flags, struct hit *h) {
  __builtin_memset(&h->key, 0, sizeof h->key);
  h->target = current_target(&h->key.process);
  if (!h->target || !(h->target->flags & flags)) return 0;
  h->cookie = attach_cookie(ctx);
  h->check = check_of(site_at(h->cookie));
  h->l = layout_at(h->cookie);
  return h->l != 0;
}

static __always_inline int hit_stream(struct pt_regs *ctx, __u32 flags, struct hit *h) {
  if (!hit_target(ctx, flags, h)) return 0;
  if (!in_registers(h)) return read_stream(ctx, h);
  h->key.store = store_argument(ctx, h);
  h->key.id = frame_argument(ctx, h);
  return is_hit(h, 0);
}

static __always_inline int hit_connection(struct pt_regs *ctx, __u32 flags, struct hit *h) {
  if (!hit_target(ctx, flags, h)) return 0;
  if (!in_registers(h)) return read_store(ctx, h);
  h->key.store = store_argument(ctx, h);
  return is_store(h, h->key.store, 0);
}

// ---- headers ----

// The first that is found; those of entries leave out a header, those of the frame itself everything.
__noinline int doubt_frame(struct scratch *s, __u32 doubt, __u64 value) {
  if (!s || s->doubt) return 0;
  s->doubt = doubt;
  s->doubtful = value;
  return 0;
}

struct field_copy {
  struct scratch *s;
  struct binary_layout *l;
  __u64 entries;
  __u64 count;
  __u64 have; // bytes of them at RAW_ENTRIES
};

// Of the entry, in the scratch; 0 when it can't be read.
static __always_inline __u32 raw_entry(struct field_copy *f, __u32 index) {
  __u64 size = f->l->entry_size & (2 * ENTRY_BYTES - 1), start = (__u64)index * size;
  if (start < f->have) return RAW_ENTRIES + (start & (ENTRIES_BYTES - 1));
  if (!bpf_probe_read_user(f->s->data + RAW, size, (void *)(f->entries + start))) return RAW;
  doubt_frame(f->s, DOUBT_MEMORY, f->entries + start);
  return 0;
}

// A HeaderMap has one array of entries: a read costs more than the bytes.
static __always_inline void read_entries(struct field_copy *f) {
  __u64 size = f->count * (f->l->entry_size & (2 * ENTRY_BYTES - 1));
  if (size < ENTRIES_BYTES && !bpf_probe_read_user(f->s->data + RAW_ENTRIES, size, (void *)f->entries)) f->have = size;
}

// A value behind what is there already; of a custom header the name is there, behind the field's own bytes. Not
// static: walked once by the verifier, as those below.
__noinline int put_value(struct scratch *s, __u32 kind, __u32 name, __u64 value, __u64 size) {
  if (!s) return 0;
  __u32 at = s->fields, cut = size > FIELD_VALUE ? FIELD_VALUE : size;
  __u32 start = (at + sizeof(struct stream_field) + (kind == FIELD_CUSTOM ? name : 0)) & (WINDOW - 1);
  struct stream_field field = {.kind = kind | (cut < size ? FIELD_CUT : 0), .name = name, .value_size = cut};
  if (bpf_probe_read_user(s->data + start, cut, (void *)value)) {
    doubt_frame(s, DOUBT_MEMORY, value);
    return 0;
  }
  *(struct stream_field *)(s->data + (at & (WINDOW - 1))) = field;
  s->fields = start + cut;
  return 1;
}

// A pseudo header, when the frame has it.
static __always_inline void put_pseudo(struct scratch *s, const struct binary_layout *l, __u8 name, __u16 offset) {
  if (!offset || !frame_word(s, offset + l->frame_text_present)) return;
  if (s->fields > FIELDS_LIMIT) {
    s->cut = 1;
    return;
  }
  put_value(s, FIELD_PSEUDO, name, frame_word(s, offset), frame_word(s, offset + 8));
}

// No other standard header has such a value.
static __always_inline void notice_grpc(struct scratch *s, __u32 at) {
  __u32 value = at + sizeof(struct stream_field);
  s->grpc |= load8(s->data, value) == WORD('a', 'p', 'p', 'l', 'i', 'c', 'a', 't') &&
             load8(s->data, value + 8) == WORD('i', 'o', 'n', '/', 'g', 'r', 'p', 'c');
}

#define TRACEPARENT_SIZE 11

// The last field's name may be that.
__noinline int notice_traceparent(struct scratch *s, __u32 name) {
  if (!s) return 0;
  if (load8(s->data, name) != WORD('t', 'r', 'a', 'c', 'e', 'p', 'a', 'r')) return 0;
  if ((load8(s->data, name + 8) & 0xffffff) != ('e' | 'n' << 8 | 't' << 16)) return 0;
  parse_traceparent(s, name + TRACEPARENT_SIZE, s->fields);
  return 1;
}

#define TRACESTATE_SIZE 10

static __always_inline void notice_tracestate(struct scratch *s, __u32 name) {
  if (load8(s->data, name) != WORD('t', 'r', 'a', 'c', 'e', 's', 't', 'a')) return;
  if ((load8(s->data, name + 8) & 0xffff) == ('t' | 'e' << 8)) note_trace_state(s, name + TRACESTATE_SIZE, s->fields);
}

// What an entry of a HeaderMap never has. 1 when nothing is wrong.
__noinline int look_at_entry(struct scratch *s, struct binary_layout *l, __u32 raw) {
  if (!s || !l || raw > RAW_ENTRIES + ENTRIES_BYTES) return 0;
  __u64 value = raw_word(s, raw, l->entry_value), size = raw_word(s, raw, l->entry_value + 8);
  __u64 name = raw_word(s, raw, l->entry_name), name_size = raw_word(s, raw, l->entry_name + 8);
  if (size > LARGEST_BUFFER || (size && !is_address(value))) {
    doubt_frame(s, DOUBT_POINTER, value);
    return 0;
  }
  if (!raw_word(s, raw, l->entry_name_custom) || (name_size && is_text(name, name_size))) return 1;
  doubt_frame(s, DOUBT_POINTER, name);
  return 0;
}

static long copy_field(__u32 index, struct field_copy *f) {
  struct scratch *s = f->s;
  const struct binary_layout *l = f->l;
  __u32 at = s->fields;
  if (index >= f->count) return 1;
  if (at > FIELDS_LIMIT) {
    s->cut = 1;
    return 1;
  }
  __u32 raw = raw_entry(f, index);
  if (!raw) return 1;
  __u64 value = raw_word(s, raw, l->entry_value), size = raw_word(s, raw, l->entry_value + 8);
  s->print_short = s->print;
  s->print = add_print(s->print, name_place(s, l, raw), value);
  if (s->looks && !look_at_entry(s, f->l, raw)) return 0;
  if (!raw_word(s, raw, l->entry_name_custom)) {
    __u8 tag = s->data[raw + (l->entry_name_tag & (ENTRY_BYTES - 1))];
    if (tag < 128 && l->standard_headers[((s->pseudo == SENT) << 1 | tag >> 6) & 3] >> (tag & 63) & 1)
      if (put_value(s, FIELD_STANDARD, tag, value, size) && size >= 16) notice_grpc(s, at);
    return 0;
  }
  __u64 name_size = raw_word(s, raw, l->entry_name + 8);
  if (!name_size || name_size >= FIELD_NAME) return 0;
  __u32 name = (at + sizeof(struct stream_field)) & (WINDOW - 1);
  if (bpf_probe_read_user(s->data + name, name_size & (FIELD_NAME - 1), (void *)raw_word(s, raw, l->entry_name))) {
    doubt_frame(s, DOUBT_MEMORY, raw_word(s, raw, l->entry_name));
    return 0;
  }
  if (s->looks && !begins_name(s->data[name])) {
    doubt_frame(s, DOUBT_TEXT, raw_word(s, raw, l->entry_name));
    return 0;
  }
  if (!put_value(s, FIELD_CUSTOM, name_size, value, size)) return 0;
  if (name_size == TRACEPARENT_SIZE) notice_traceparent(s, name);
  if (name_size == TRACESTATE_SIZE) notice_tracestate(s, name);
  if (extract_b3) b3_field(s, name, name_size);
  return 0;
}

static __always_inline int has_text(struct scratch *s, const struct binary_layout *l, __u16 offset) {
  return frame_word(s, offset + l->frame_text_present) != 0;
}

static __always_inline int is_pseudo_text(struct scratch *s, const struct binary_layout *l, __u16 offset) {
  if (!offset || !has_text(s, l, offset)) return 1;
  return is_text(frame_word(s, offset), frame_word(s, offset + 8));
}

// What frame::Headers never has.
static __always_inline void look_at_frame(struct scratch *s, const struct binary_layout *l) {
  __u64 entries = frame_word(s, l->frame_entries);
  if (!is_entries(entries, frame_word(s, l->frame_entries_length))) doubt_frame(s, DOUBT_POINTER, entries);
  if (!s->pseudo) return;
  __u16 status = frame_half(s, l->frame_status);
  if (status && !is_status(status)) doubt_frame(s, DOUBT_STATUS, status);
  if (frame_byte(s, l->frame_method) > LAST_METHOD) doubt_frame(s, DOUBT_METHOD, frame_byte(s, l->frame_method));
  if (!status && !has_text(s, l, l->frame_path) && !has_text(s, l, l->frame_authority))
    doubt_frame(s, s->pseudo == SENT ? DOUBT_STATUS : DOUBT_HEAD, 0);
  if (!is_pseudo_text(s, l, l->frame_path)) doubt_frame(s, DOUBT_TEXT, frame_word(s, l->frame_path));
  if (!is_pseudo_text(s, l, l->frame_authority)) doubt_frame(s, DOUBT_TEXT, frame_word(s, l->frame_authority));
}

// The frame, and all that user space is told of it. 0 when it is none.
__noinline int copy_fields(struct scratch *s, struct binary_layout *l) {
  if (!s || !l) return 0;
  __builtin_memset(&s->scan.head, 0, sizeof s->scan.head);
  s->fields = s->cut = s->grpc = s->states = 0;
  s->print = s->print_short = 0;
  s->doubt = 0;
  if (bpf_probe_read_user(s->data + RAW_FRAME, FRAME_BYTES, (void *)s->pointer)) doubt_frame(s, DOUBT_MEMORY, s->pointer);
  else if (s->looks) look_at_frame(s, l);
  if (s->doubt) return 0;
  if (s->pseudo) {
    // An extension's name follows its tag, when it is short; user space sees whether it is one.
    if (frame_byte(s, l->frame_method) >= METHOD_EXTENSION && !frame_half(s, l->frame_status))
      put_value(s, FIELD_PSEUDO, PSEUDO_METHOD, s->pointer + l->frame_method + 1, METHOD_INLINE);
    put_pseudo(s, l, PSEUDO_PATH, l->frame_path); // what matters most comes first: not all of them may fit
    put_pseudo(s, l, PSEUDO_AUTHORITY, l->frame_authority);
    put_pseudo(s, l, PSEUDO_SCHEME, l->frame_scheme);
    put_pseudo(s, l, PSEUDO_PROTOCOL, l->frame_protocol);
  }
  struct field_copy f = {
      .s = s, .l = l, .entries = frame_word(s, l->frame_entries), .count = frame_word(s, l->frame_entries_length)};
  if (f.count > MAX_ENTRIES) {
    f.count = MAX_ENTRIES;
    s->cut = 1;
  }
  read_entries(&f);
  bpf_loop(MAX_ENTRIES, copy_field, &f, 0);
  return 1;
}

// ---- records ----

static __always_inline struct event_stream *begin_stream(struct scratch *s, __u16 kind, const struct stream_key *key,
                                                         __u64 task) {
  struct event_stream *e = &s->stream;
  __builtin_memset(e, 0, sizeof *e);
  fill_header(&e->header, kind, bpf_ktime_get_ns());
  e->header.connection = key->store;
  e->header.sequence = key->id;
  e->header.task = task;
  return e;
}

static __always_inline void submit_stream(struct scratch *s) {
  __u32 size = s->fields;
  if (size > WINDOW) size = WINDOW;
  s->stream.data_size = size;
  if (s->cut) s->stream.header.flags |= FLAG_CUT;
  submit(&s->stream, sizeof s->stream + size);
}

// Neither a response's nor a request's headers: what was received may be the peer's fault. 0 when the site is not
// believed from now on.
__noinline int complain(struct scratch *s, __u32 site) {
  if (!s) return 0;
  if (s->doubt == DOUBT_HEAD) find_odd(site, s->doubtful, s->pointer);
  else distrust(site, s->doubt, s->doubtful, s->doubt == DOUBT_TEXT ? s->doubtful : s->pointer);
  return is_believed(check_of(site));
}

// A site that is proven shows every sixteenth stream's frames all the same: one that is wrong makes it unproven.
static __always_inline int looks_closely(const struct hit *h) {
  return !h->check || h->check->score < CHECK_PROVEN || !(h->key.id & 30);
}

// The record of what a frame says, to be submitted and given back; 0 when it can't be read. `pseudo`: enum headers.
static __always_inline struct scratch *take_frame(struct pt_regs *ctx, const struct hit *h, __u16 kind, int pseudo) {
  struct scratch *s = scratch_take();
  if (!s) return 0;
  s->pointer = frame_argument(ctx, h);
  s->pseudo = pseudo;
  s->looks = looks_closely(h);
  int whole = copy_fields(s, h->l);
  // A header that is not in memory at the moment is left out; what is never right is not believed for long.
  int believed = s->doubt ? complain(s, site_at(h->cookie)) : trusted(h->check);
  if (!whole || !believed) {
    scratch_give(s);
    return 0;
  }
  struct event_stream *e = begin_stream(s, kind, &h->key, current_task_id(h->target));
  if (pseudo) {
    e->status = frame_half(s, h->l->frame_status);
    e->method = frame_byte(s, h->l->frame_method);
  }
  return s;
}

// What this thread has read last from a socket was this connection's: its task reads and decodes in one go.
static __always_inline void put_peer(struct event_stream *e, __u64 task) {
  struct thread *t = bpf_task_storage_get(&threads, current_thread(), 0, 0);
  if (!t) return;
  t->accepts.known = 0; // whatever this task makes from here on is not for the last stream it has accepted
  const struct last_read *r = &t->read;
  if (!is_read_by(r, task)) return;
  e->socket = r->connection;
  if (r->tls) e->header.flags |= FLAG_TLS;
  PUT_ADDRESSES(e, &r->addresses);
}

// ---- what a server receives, and a client ----

// One number for both, which is no connection's: those are counted from 1.
static __always_inline __u64 stream_number(const struct stream_key *key) { return key->store << 16 ^ key->id; }

static __always_inline void received_request(struct scratch *s, struct target *target, const struct stream_key *key) {
  struct event_stream *e = &s->stream;
  e->header.kind = EVENT_STREAM_REQUEST;
  int sampled = start_trace(s, &e->header, e->trace_id, &e->trace_flags);
  keep_trace_state(s, e->span_id);
  if (target->flags & (TARGET_CONTEXTS | TARGET_ROUTES)) {
    struct context c = {};
    set_context(&c, e->trace_id, e->trace_flags);
    c.grpc = s->grpc;
    struct recent_key place = stream_place(key);
    if (target->flags & TARGET_WATCH_CALLS) streams_forget(&place); // another connection's that had this address
    else streams_put(&place, &c);
  }
  if (sampled) submit_stream(s);
}

#define INTERIM(status) ((status) / 100 == 1)

// h2 reads the frame next: request headers have a method and no status, response headers a status.
static __always_inline void recv_headers(struct pt_regs *ctx) {
  struct hit h;
  if (!hit_stream(ctx, STREAMS, &h)) return;
  if (!(h.key.id & 1)) { // pushed: RFC 9113 §5.1.1; hyper's clients take none
    doubt_hit(&h, DOUBT_STREAM, h.key.id, stream_argument(ctx, &h));
    return;
  }
  struct scratch *s = take_frame(ctx, &h, EVENT_STREAM_RESPONSE, RECEIVED);
  if (!s) return;
  struct event_stream *e = &s->stream;
  put_peer(e, e->header.task);
  if (!e->status) {
    if (h.target->flags & TARGET_STREAMS) received_request(s, h.target, &h.key);
  } else if (!INTERIM(e->status) && h.target->flags & TARGET_CLIENT_STREAMS) {
    e->header.flags |= FLAG_CLIENT;
    if (h.target->flags & TARGET_INJECT) remember_store(e->socket, &h.key);
    submit_stream(s);
  }
  scratch_give(s);
}

static __always_inline void recv_trailers(struct pt_regs *ctx) {
  struct hit h;
  if (!hit_stream(ctx, TARGET_CLIENT_STREAMS, &h)) return;
  struct scratch *s = take_frame(ctx, &h, EVENT_STREAM_TRAILERS, TRAILERS);
  if (!s) return;
  s->stream.header.flags |= FLAG_CLIENT;
  submit_stream(s);
  scratch_give(s);
}

// Some routers are passed in the connection's task: the handler's takes over what they say.
static __always_inline void begin_routes(__u64 process, const struct thread *t) {
  struct task_key key = {.task = t->accepting, .process = process};
  if (bpf_map_update_elem(&stream_tasks, &key, &NO_REQUESTS, BPF_ANY)) count(COUNTER_MAP_FULL);
  struct task_connection *routes = bpf_map_lookup_elem(&stream_tasks, &key);
  if (!routes) return;
  routes->connection = t->accepted;
  routes->open = 1;
}

// hyper takes the request and makes the task that handles it, in one go.
static __always_inline void take_request(struct pt_regs *ctx) {
  struct hit h;
  if (!hit_stream(ctx, TARGET_CONTEXTS | TARGET_ROUTES, &h) || !trusted(h.check)) return;
  struct thread *t = bpf_task_storage_get(&threads, current_thread(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!t) {
    count(COUNTER_MAP_FULL);
    return;
  }
  t->accepts.known = 0;
  struct recent_key place = stream_place(&h.key);
  struct context *c = streams_find(&place);
  if (!c) return; // not sampled, or older than the agent
  t->accepts = *c;
  t->accepting = current_task_id(h.target);
  t->accepted = stream_number(&h.key);
  streams_forget(&place);
  if (h.target->flags & TARGET_ROUTES && !t->accepts.grpc) begin_routes(h.key.process, t);
}

// ---- what a server answers, and a client asks ----

// The templates that the task's stream has passed, outermost first.
static __always_inline void put_routes(struct scratch *s, const struct stream_key *key, __u64 task) {
  struct task_key own = {.task = task, .process = key->process};
  struct task_connection *t = bpf_map_lookup_elem(&stream_tasks, &own);
  if (!t || t->connection != stream_number(key)) return;
  __u32 used = 0, at = s->fields;
  for (int i = 0; i < MAX_ROUTES; i++) {
    __u32 size = t->routes.size[i], start = (at + sizeof(struct stream_field)) & (WINDOW - 1);
    if (i >= t->routes.count || t->routes.count > MAX_ROUTES) break;
    if (size > ROUTE_TEXT || used > ROUTE_TEXT) break;
    struct stream_field field = {.kind = FIELD_ROUTE, .value_size = size};
    bpf_probe_read_kernel(s->data + start, size, t->routes.text + used);
    *(struct stream_field *)(s->data + (at & (WINDOW - 1))) = field;
    at = start + size;
    used += size;
  }
  s->fields = at;
  bpf_map_delete_elem(&stream_tasks, &own);
}

// Of a client that no call is known of.
static __always_inline void unlinked_stream(struct scratch *s) {
  struct event_stream *e = &s->stream;
  __u64 ids[ID_WORDS / 2];
  __u32 parent[2];
  int sampled = start_client_trace(s, (__u32 *)ids, parent, &e->trace_flags, 0);
  __builtin_memcpy(e->trace_id, ids, 24);
  e->orphan = ORPHAN_UNLINKED;
  if (sampled) count_orphan(ORPHAN_UNLINKED);
  else e->trace_flags = 0;
}

static __always_inline void submit_sent(struct scratch *s) {
  struct event_stream *e = &s->stream;
  take_own_context(&e->header, e->trace_id, e->parent_id, &e->trace_flags, &s->scan.head);
  submit_stream(s);
}

static __always_inline int is_handed_over(const struct client_call *call, __u64 entries) {
  return call && call->entries == entries && (call->pending == PENDING_NONE || call->pending == PENDING_ENDED);
}

// By what the task that has just given h2 the request says, by the entries, by the texts of all but the header that
// the channel has added.
static __always_inline struct client_call *call_of_stream(struct scratch *s, const struct binary_layout *l,
                                                          __u64 process, __u64 path) {
  __u64 entries = frame_word(s, l->frame_entries), print = s->print_short | PRINT_MARK;
  struct client_call *call = find_call(process, entries);
  if (is_handed_over(call, entries)) return call;
  call = path ? find_call(process, path) : 0;
  if (call && (call->pending == PENDING_NONE || call->pending == PENDING_ENDED)) return call;
  call = find_call(process, print);
  return is_handed_over(call, print) ? call : 0;
}

// hyper's client sends a request again that no server has taken: the same path and entries.
static __always_inline int is_sent_again(struct scratch *s, const struct binary_layout *l, const struct client_call *call,
                                         __u64 path) {
  __u64 entries = frame_word(s, l->frame_entries);
  return call->pending == PENDING_DONE && call->entries == entries && call->path == path;
}

static __always_inline void sent_again(struct scratch *s, const struct client_call *call) {
  struct event_stream *e = &s->stream;
  __builtin_memcpy(e->trace_id, call->ids, 16);
  random_words(s, e->span_id, 1);
  if (!call->sampled) return;
  e->header.flags |= FLAG_RESEND;
  if (call->parent[0] | call->parent[1]) e->header.flags |= FLAG_HAS_PARENT;
  __builtin_memcpy(e->parent_id, call->parent, 8);
  e->trace_flags = call->trace_flags;
  submit_stream(s);
}

// The stream's own records tell from here on how the call ends.
static __always_inline void sent_request(struct scratch *s, const struct binary_layout *l, __u64 process) {
  struct event_stream *e = &s->stream;
  struct thread *t = bpf_task_storage_get(&threads, current_thread(), 0, 0);
  __u64 path = t ? t->sends : 0;
  if (t) t->sends = 0;
  struct client_call *call = call_of_stream(s, l, process, path);
  e->header.kind = EVENT_STREAM_REQUEST;
  e->header.flags |= FLAG_CLIENT;
  if (!call && path) {
    struct client_call *before = find_call(process, path);
    if (before && before->pending == PENDING_SHARED) before->output = e->header.time_ns;
    if (!before) before = find_call(process, frame_word(s, l->frame_entries));
    if (before && is_sent_again(s, l, before, path)) {
      sent_again(s, before);
      return;
    }
  }
  if (!call || (call->pending == PENDING_ENDED && e->header.time_ns - call->since >= ENDED_NS)) {
    if (call) call->pending = PENDING_DONE; // its memory is another's
    unlinked_stream(s);
    if (e->trace_flags & 1) submit_sent(s);
    return;
  }
  int ended = call->pending == PENDING_ENDED; // its caller has given up: no request of its own
  call->pending = PENDING_DONE;
  if (ended) return;
  if (call->parent[0] | call->parent[1]) e->header.flags |= FLAG_HAS_PARENT;
  call_done(process, &call->place, 1);
  e->call = call->place.id;
  __builtin_memcpy(e->trace_id, call->ids, 24); // the span id is next to it
  __builtin_memcpy(e->parent_id, call->parent, 8);
  e->trace_flags = call->trace_flags;
  if (call->sampled) submit_sent(s);
}

// hyper's client hands the whole request to h2, which copies its path and makes the stream, in one go.
static __always_inline void send_request(struct pt_regs *ctx) {
  struct hit h;
  __u64 path = 0;
  if (!hit_target(ctx, TARGET_CLIENT_STREAMS, &h)) return;
  struct thread *t = bpf_task_storage_get(&threads, current_thread(), 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!t) return;
  t->sends = 0;
  __u64 at = frame_argument(ctx, &h) + h.l->request_path;
  if (bpf_probe_read_user(&path, 8, (void *)at)) doubt_hit(&h, DOUBT_MEMORY, at, 0);
  else if (path >= USER_END) doubt_hit(&h, DOUBT_POINTER, path, at);
  else if (path && trusted(h.check)) t->sends = path;
}

// Its scheme is "https", whose text is in the frame.
static __always_inline int is_https(struct scratch *s, const struct binary_layout *l) {
  __u16 scheme = l->frame_scheme;
  return scheme && frame_word(s, scheme + l->frame_text_present) && frame_word(s, scheme + 8) == 5;
}

static __always_inline void send_headers(struct pt_regs *ctx) {
  struct hit h;
  if (!hit_stream(ctx, STREAMS, &h)) return;
  struct scratch *s = take_frame(ctx, &h, EVENT_STREAM_RESPONSE, SENT);
  if (!s) return;
  struct event_stream *e = &s->stream;
  if (!e->status) {
    if (h.target->flags & TARGET_CLIENT_STREAMS) {
      sent_request(s, h.l, h.key.process);
      if (e->call) __sync_fetch_and_add(&h.target->links, 1);
      if (h.target->flags & TARGET_INJECT) announce_stream(s, &h.key);
      if (h.target->flags & TARGET_INJECT_TLS && is_https(s, h.l)) count(COUNTER_INJECT_TLS_STREAM);
    }
  } else if (!INTERIM(e->status) && h.target->flags & TARGET_STREAMS) {
    if (h.target->flags & TARGET_ROUTES) put_routes(s, &h.key, e->header.task);
    submit_stream(s);
  }
  scratch_give(s);
}

static __always_inline void send_trailers(struct pt_regs *ctx) {
  struct hit h;
  if (!hit_stream(ctx, TARGET_STREAMS, &h)) return;
  h.key.store += (__u16)(h.cookie >> COOKIE_OFFSET_SHIFT); // StreamRef: it points to the lock
  struct scratch *s = take_frame(ctx, &h, EVENT_STREAM_TRAILERS, TRAILERS);
  if (!s) return;
  submit_stream(s);
  scratch_give(s);
}

// ---- ends ----

static __always_inline void emit_stream_end(const struct hit *h, __u16 kind, __u16 flags, __u32 reason) {
  struct scratch *s = scratch_take();
  if (!s) return;
  struct event_stream *e = begin_stream(s, kind, &h->key, current_task_id(h->target));
  e->header.flags = flags;
  e->reason = reason;
  s->fields = s->cut = 0;
  submit_stream(s);
  scratch_give(s);
}

static __always_inline void send_reset(struct pt_regs *ctx) {
  struct hit h;
  if (hit_stream(ctx, STREAMS, &h) && trusted(h.check))
    emit_stream_end(&h, EVENT_STREAM_RESET, FLAG_LOCAL, frame_argument(ctx, &h));
}

// Any reset of its own; one that was asked for was told before, with its reason.
static __always_inline void stream_cancel(struct pt_regs *ctx) {
  struct hit h;
  if (hit_stream(ctx, STREAMS, &h) && trusted(h.check)) emit_stream_end(&h, EVENT_STREAM_RESET, FLAG_LOCAL, H2_CANCEL);
}

static __always_inline void recv_reset(struct pt_regs *ctx) {
  struct hit h;
  if (!hit_connection(ctx, STREAMS, &h)) return;
  h.key.id = frame_argument(ctx, &h); // frame::Reset in two registers: rdx and rcx, or rsi and rdx
  if (!is_stream(h.key.id)) {
    doubt_hit(&h, DOUBT_STREAM, h.key.id, 0);
    return;
  }
  if (!trusted(h.check)) return;
  emit_stream_end(&h, EVENT_STREAM_RESET, 0, register_value(ctx, in_registers(&h) ? RDX : RCX));
}

static __always_inline void connection_closed(struct pt_regs *ctx) {
  struct hit h;
  if (hit_connection(ctx, STREAMS, &h) && trusted(h.check)) emit_stream_end(&h, EVENT_STREAMS_CLOSED, 0, 0);
}

// Streams above the last one that the peer has taken are lost.
static __always_inline void go_away(struct pt_regs *ctx) {
  struct hit h;
  if (!hit_connection(ctx, TARGET_CLIENT_STREAMS, &h)) return;
  __u64 frame = in_registers(&h) ? 0 : frame_argument(ctx, &h);
  if (in_registers(&h)) {
    h.key.id = frame_argument(ctx, &h);
  } else if (bpf_probe_read_user(&h.key.id, 4, (void *)(frame + h.l->go_away_last_id))) {
    doubt_hit(&h, DOUBT_MEMORY, frame, 0);
    return;
  }
  if (h.key.id >> 31) {
    doubt_hit(&h, DOUBT_STREAM, h.key.id, frame);
    return;
  }
  if (!trusted(h.check)) return;
  emit_stream_end(&h, EVENT_STREAMS_CLOSED, FLAG_CLIENT, 0);
}

GUARDED(h2_recv_headers, recv_headers(ctx))
GUARDED(h2_recv_trailers, recv_trailers(ctx))
GUARDED(h2_take_request, take_request(ctx))
GUARDED(h2_send_request, send_request(ctx))
GUARDED(h2_send_headers, send_headers(ctx))
GUARDED(h2_send_trailers, send_trailers(ctx))
GUARDED(h2_send_reset, send_reset(ctx))
GUARDED(h2_recv_reset, recv_reset(ctx))
GUARDED(h2_cancel, stream_cancel(ctx))
GUARDED(h2_closed, connection_closed(ctx))
GUARDED(h2_go_away, go_away(ctx))
