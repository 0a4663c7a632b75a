// HTTP/2: from the function that is given a stream's request to the socket that writes it, a little later and in
// another task. Both know the process and the stream's number; which connection it is, the socket learns from what was
// read on it. Until then a number that one connection alone has announced is enough.
#pragma once

static __always_inline void remember_announcer(const struct stream_key *key) {
  struct stream_number number = {.process = key->process, .id = key->id};
  struct announcers *known = bpf_map_lookup_elem(&stream_announcers, &number);
  if (known && known->store == key->store) return;
  if (known) {
    struct stream_key other = {.store = known->store, .process = key->process, .id = key->id};
    struct announced *waits = bpf_map_lookup_elem(&announcements, &other);
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
  if (bpf_map_update_elem(&announcements, key, &a, BPF_ANY)) count(COUNTER_MAP_FULL);
  remember_announcer(key);
}

static __always_inline void remember_store(__u64 socket, __u64 store) {
  if (!socket) return;
  __u64 *known = bpf_map_lookup_elem(&socket_stores, &socket);
  if (known) *known = store;
  else bpf_map_update_elem(&socket_stores, &socket, &store, BPF_ANY);
}

// The request that a socket is about to write, or 0.
static __always_inline struct announced *find_announced(__u64 socket, __u64 process, __u32 id) {
  struct stream_key key = {.process = process, .id = id};
  __u64 *store = socket ? bpf_map_lookup_elem(&socket_stores, &socket) : 0;
  if (store) {
    key.store = *store;
    return bpf_map_lookup_elem(&announcements, &key);
  }
  struct stream_number number = {.process = process, .id = id};
  struct announcers *one = bpf_map_lookup_elem(&stream_announcers, &number);
  if (!one || one->several) return 0;
  key.store = one->store;
  return bpf_map_lookup_elem(&announcements, &key);
}
