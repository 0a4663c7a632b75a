// axum::extract::matched_path::set_matched_path_for_request(RouteId edi, &HashMap<RouteId, Arc<str>> rsi, …):
// called once for each router a request passes, outermost first. The template is read here and now: a router
// may live no longer than its connection.
#pragma once

#define GROUP_STEPS 16
#define SCAN_BUCKETS 4096

#define SIP_ROUND                                                                                          \
  do {                                                                                                     \
    v0 += v1; v1 = ROTATE(v1, 13) ^ v0; v0 = ROTATE(v0, 32);                                               \
    v2 += v3; v3 = ROTATE(v3, 16) ^ v2;                                                                    \
    v0 += v3; v3 = ROTATE(v3, 21) ^ v0;                                                                    \
    v2 += v1; v1 = ROTATE(v1, 17) ^ v2; v2 = ROTATE(v2, 32);                                               \
  } while (0)

// SipHash-1-3 of one u32, what std's RandomState makes of a RouteId.
static __always_inline __u64 hash_route_id(__u64 k0, __u64 k1, __u32 id) {
  __u64 v0 = k0 ^ 0x736f6d6570736575ULL, v1 = k1 ^ 0x646f72616e646f6dULL;
  __u64 v2 = k0 ^ 0x6c7967656e657261ULL, v3 = k1 ^ 0x7465646279746573ULL;
  __u64 block = 4ULL << 56 | id;
  v3 ^= block;
  SIP_ROUND;
  v0 ^= block;
  v2 ^= 0xff;
  SIP_ROUND;
  SIP_ROUND;
  SIP_ROUND;
  return v0 ^ v1 ^ v2 ^ v3;
}

// Buckets lie below the control bytes, the first one next to them. 1 when this one holds the id.
static __always_inline int check_bucket(struct route_lookup *t, const struct binary_layout *l, __u64 index) {
  __u32 size = l->bucket_size;
  if (size > BUCKET_BYTES) return 0;
  if (bpf_probe_read_user(t->bucket, size, (void *)(t->control - (index + 1) * size))) return 0;
  if (*(__u32 *)(t->bucket + (l->bucket_id & (BUCKET_BYTES - 4))) != t->id) return 0;
  __u64 length = *(__u64 *)(t->bucket + (l->bucket_length & (BUCKET_BYTES - 8)));
  if (!length || length > ROUTE_TEXT) return 0;
  t->text = *(__u64 *)(t->bucket + (l->bucket_pointer & (BUCKET_BYTES - 8))) + l->arc_header;
  t->found = length;
  t->bucket_at = index;
  return 1;
}

// 0x80 in each byte that equals `byte`; exact.
static __always_inline __u64 equal_bytes(__u64 word, __u8 byte) {
  __u64 x = word ^ EACH_BYTE(byte);
  return ~(((x & EACH_BYTE(0x7f)) + EACH_BYTE(0x7f)) | x | EACH_BYTE(0x7f));
}

// Two words: of the table's hasher.
static __always_inline const __u64 *hasher_keys(const struct route_lookup *t, const struct binary_layout *l) {
  return (const void *)(t->table + (l->table_keys & (TABLE_BYTES - 16)));
}

// hashbrown's probe sequence: groups of 16 control bytes, each holding the hash's top 7 bits or 0xff for a
// bucket that was never used, where the search ends. A global function: walked once by the verifier.
__noinline int find_by_hash(struct route_lookup *t, const struct binary_layout *l) {
  if (!t || !l) return 0;
  const __u64 *keys = hasher_keys(t, l);
  __u64 hash = hash_route_id(keys[0], keys[1], t->id);
  __u64 position = hash & t->mask;
  __u8 tag = hash >> 57;
  for (int step = 1; step <= GROUP_STEPS; step++) {
    __u64 group[2];
    if (bpf_probe_read_user(group, 16, (void *)(t->control + position))) return 0;
    for (int half = 0; half < 2; half++) {
      __u64 marks = equal_bytes(group[half], tag);
      for (int i = 0; i < 3 && marks; i++) {
        if (check_bucket(t, l, (position + half * 8 + first_byte(marks)) & t->mask)) return 1;
        marks &= marks - 1;
      }
    }
    if (equal_bytes(group[0], 0xff) | equal_bytes(group[1], 0xff)) return 0;
    position = (position + step * 16) & t->mask;
  }
  return 0;
}

struct bucket_scan {
  struct route_lookup *lookup;
  const struct binary_layout *layout;
};

static long scan_bucket(__u32 index, struct bucket_scan *s) {
  struct route_lookup *t = s->lookup;
  __u8 control = 0xff;
  if (index > t->mask) return 1;
  if (bpf_probe_read_user(&control, 1, (void *)(t->control + index))) return 1;
  return !(control & 0x80) && check_bucket(t, s->layout, index);
}

// hashbrown: one bucket less than a power of two; the control bytes are as many and 16.
static __always_inline int is_table(const struct route_lookup *t) {
  return is_address(t->control) && !(t->mask & (t->mask + 1)) && t->mask <= 0xffffffff;
}

// Where a table's bucket of an id is, it stays: axum's routers are not changed while they serve. Another table in the place of
// one that is gone has other keys, or is a clone: then the same ids are in the same buckets.
static __always_inline int find_known(struct route_lookup *t, const struct binary_layout *l) {
  const __u64 *keys = hasher_keys(t, l);
  __u64 *k = t->known_table;
  if (k[0] != t->control || k[1] != t->mask || k[2] != keys[0] || k[3] != keys[1]) {
    k[0] = t->control;
    k[1] = t->mask;
    k[2] = keys[0];
    k[3] = keys[1];
    __builtin_memset(t->known, 0, sizeof t->known);
    return 0;
  }
  __u32 next = t->known[t->id & (KNOWN_BUCKETS - 1)];
  return next && check_bucket(t, l, (next - 1) & t->mask);
}

// 0 when the template is found (`text` and `found`), else enum doubt.
static __always_inline __u32 find_template(struct route_lookup *t, const struct binary_layout *l, __u64 table) {
  if (bpf_probe_read_user(t->table, HASH_MAP_BYTES, (void *)table)) return DOUBT_MEMORY;
  t->control = *(__u64 *)(t->table + (l->table_control & (TABLE_BYTES - 8)));
  t->mask = *(__u64 *)(t->table + (l->table_mask & (TABLE_BYTES - 8)));
  t->found = 0;
  if (!is_table(t)) return DOUBT_POINTER;
  if (find_known(t, l)) return 0;
  if (find_by_hash(t, l)) {
    t->known[t->id & (KNOWN_BUCKETS - 1)] = t->bucket_at + 1;
    return 0;
  }
  struct bucket_scan scan = {.lookup = t, .layout = l};
  bpf_loop(SCAN_BUCKETS, scan_bucket, &scan, 0); // a table with another hasher
  return t->found ? 0 : DOUBT_ROUTE;
}

// No template is better than a part of one: this request gets none.
static __always_inline void forget_routes(struct routes *r) {
  r->count = MAX_ROUTES + 1;
  r->text_size = 0;
  count(COUNTER_ROUTE_UNKNOWN);
}

// Gives enum doubt: axum takes no template that does not begin with `/`.
static __always_inline __u32 add_route(struct task_connection *t, __u64 text, __u32 size) {
  struct routes *r = &t->routes;
  __u32 n = r->count, used = r->text_size;
  if (n >= MAX_ROUTES || used + size > ROUTE_TEXT || used > ROUTE_TEXT || size > ROUTE_TEXT) {
    forget_routes(r);
    return 0;
  }
  if (bpf_probe_read_user(r->text + used, size, (void *)text)) return DOUBT_MEMORY;
  __u32 last = (used + size - 1) & (2 * ROUTE_TEXT - 1);
  if (r->text[used] != '/' || r->text[last] < ' ') return DOUBT_TEXT;
  r->size[n] = size;
  r->text_size = used + size;
  r->count = n + 1;
  return 0;
}

// A table that is too large to be looked through holds what is not found.
static __always_inline int is_doubtful(const struct route_lookup *t, __u32 doubt) {
  return doubt != DOUBT_ROUTE || t->mask < SCAN_BUCKETS;
}

// gRPC's servers use axum's router, too; in old ones a connection's task passes it.
static __always_inline int works_for_grpc(const struct task_key *key) {
  struct recent_key place = task_place(key);
  struct context *c = born_find(&place);
  if (c && c->grpc) return 1;
  struct thread *thread = bpf_task_storage_get(&threads, current_thread(), 0, 0);
  return thread && thread->accepts.known && thread->accepts.grpc && thread->accepting == key->task;
}

static __always_inline int axum_route(struct pt_regs *ctx, __u32 id, __u64 map) {
  __u64 process;
  struct target *target = current_target(&process);
  if (!target || !(target->flags & TARGET_ROUTES)) return 0;
  struct task_key key = {.task = current_task_id(target), .process = process};
  if (!key.task) return 0;
  struct task_connection *t = bpf_map_lookup_elem(&tasks, &key);
  if (!t && target->flags & TARGET_STREAMS) {
    t = bpf_map_lookup_elem(&stream_tasks, &key);
    needs_tasks(target);
  }
  struct binary_layout *layout = layout_of(ctx);
  if (!t || t->open <= 0 || t->doubtful || !layout) {
    if (t || !works_for_grpc(&key)) count(COUNTER_ROUTE_UNKNOWN);
    return 0;
  }
  t->lookup.id = id;
  __u32 doubt = find_template(&t->lookup, layout, map);
  __u64 shown = doubt ? map : t->lookup.text;
  __u32 site = site_of(ctx);
  int believed = !doubt && trusted(check_of(site));
  if (believed) doubt = add_route(t, t->lookup.text, t->lookup.found);
  if (!believed || doubt) forget_routes(&t->routes);
  if (doubt && is_doubtful(&t->lookup, doubt)) distrust(site, doubt, shown, shown);
  return 0;
}

SEC("uprobe.multi")
int axum_set_matched_path(struct pt_regs *ctx) {
  guard_begin();
  axum_route(ctx, ctx->di, ctx->si);
  guard_end();
  return 0;
}

// Inside another function, where the number is hashed: the cookie tells where number and map are.
SEC("uprobe.multi")
int axum_set_matched_path_at(struct pt_regs *ctx) {
  guard_begin();
  __u64 registers = attach_cookie(ctx) >> COOKIE_REGISTER_SHIFT;
  axum_route(ctx, register_value(ctx, registers & 15), register_value(ctx, registers >> 4 & 15) - (__s16)offset_of(ctx));
  guard_end();
  return 0;
}
