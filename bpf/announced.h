// HTTP/2: from the function that is given a stream's request to the socket that writes it, a little later and in
// another task. Both know the process and the stream's number; which connection it is, the socket learns from what was
// read on it. Until then a number that one connection alone has announced is enough.
#pragma once

// Where what is remembered of a stream lies.
static __always_inline struct recent_key stream_place(const struct stream_key *key) {
  return recent_key(key->process, key->store, key->id >> 1); // one side's are odd, or even, throughout
}

static __always_inline struct announced *find_announcement(const struct stream_key *key) {
  struct recent_key place = stream_place(key);
  return announcements_find(&place);
}

#define FIRST_STREAM 1 // of a client's connection

// Once the socket of a connection is known nobody asks for it by the numbers of its streams.
static __always_inline int is_store_known(const struct stream_key *key) {
  struct library_key store = {.pointer = key->store, .process = key->process};
  if (key->id == FIRST_STREAM) return 0; // what is known was another connection's
  __u64 *socket = bpf_map_lookup_elem(&known_stores, &store);
  __u64 *known = socket ? bpf_map_lookup_elem(&socket_stores, socket) : 0;
  return known && *known == key->store;
}

static __always_inline void remember_announcer(const struct stream_key *key) {
  struct stream_number number = {.process = key->process, .id = key->id};
  struct announcers *known = bpf_map_lookup_elem(&stream_announcers, &number);
  if (known && known->store == key->store) return;
  if (known) {
    struct stream_key other = {.store = known->store, .process = key->process, .id = key->id};
    struct announced *waits = find_announcement(&other);
    if (!waits || waits->written) { // that one has gone out
      known->store = key->store;
      known->several = 0;
      return;
    }
    known->several = 1;
    return;
  }
  struct announcers fresh = {.store = key->store};
  if (bpf_map_update_elem(&stream_announcers, &number, &fresh, BPF_ANY)) count(COUNTER_MAP_FULL);
}

// The record has the ids: zeros where it is not known whose stream it is.
static __always_inline void announce_stream(struct scratch *s, const struct stream_key *key) {
  struct event_stream *e = &s->stream;
  struct announced a = {.trace_flags = e->trace_flags, .as = ANNOUNCED_NEW};
  __builtin_memcpy(a.ids, e->trace_id, 24);
  __builtin_memcpy(a.parent, e->parent_id, 8);
  a.state = s->states != 0;
  if (s->scan.head.parents) a.as = ANNOUNCED_OWN;
  else if (s->cut || !(a.ids[0] | a.ids[1] | a.ids[2] | a.ids[3])) a.as = ANNOUNCED_UNKNOWN;
  struct recent_key place = stream_place(key);
  announcements_put(&place, &a);
  if (!is_store_known(key)) remember_announcer(key);
}

static __always_inline void remember_store(__u64 socket, const struct stream_key *key) {
  if (!socket) return;
  struct library_key store = {.pointer = key->store, .process = key->process};
  __u64 *known = bpf_map_lookup_elem(&socket_stores, &socket);
  __u64 *on = bpf_map_lookup_elem(&known_stores, &store);
  if (known && *known == key->store && on && *on == socket) return;
  bpf_map_update_elem(&socket_stores, &socket, &key->store, BPF_ANY);
  bpf_map_update_elem(&known_stores, &store, &socket, BPF_ANY);
}

// The request that a socket is about to write, or 0.
static __always_inline struct announced *find_announced(__u64 socket, __u64 process, __u32 id) {
  struct stream_key key = {.process = process, .id = id};
  __u64 *store = socket ? bpf_map_lookup_elem(&socket_stores, &socket) : 0;
  if (store) {
    key.store = *store;
    return find_announcement(&key);
  }
  struct stream_number number = {.process = process, .id = id};
  struct announcers *one = bpf_map_lookup_elem(&stream_announcers, &number);
  if (!one || one->several) return 0;
  key.store = one->store;
  return find_announcement(&key);
}
