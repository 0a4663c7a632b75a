// What is remembered for a moment under keys each of which is used once: tasks, streams. A full LRU hash map costs 1 µs an
// entry (its lock, its eviction, and memory that is in no cache any more); here a set of four places is found by the
// key's count, so that keys of one process that come one after another fill the table from end to end. Places are taken
// in turn; who is asked for when its turn has come keeps its own.
#pragma once

#define RECENT_WAYS 4

// Four entries. `tags`: of the keys, 0 where there is none.
#define RECENT(name, sets, value_type)                                                                     \
  struct name##_set {                                                                                      \
    __u64 tags[RECENT_WAYS];                                                                               \
    __u32 next; /* whose place is taken next */                                                            \
    __u32 unused;                                                                                          \
    value_type values[RECENT_WAYS];                                                                        \
  };                                                                                                       \
  MAP(name, BPF_MAP_TYPE_ARRAY, sets, __u32, struct name##_set);                                           \
                                                                                                           \
  static __always_inline struct name##_set *name##_set_of(const struct recent_key *key) {                  \
    __u32 index = key->set & ((sets) - 1);                                                                 \
    return bpf_map_lookup_elem(&name, &index);                                                             \
  }                                                                                                        \
                                                                                                           \
  static __always_inline value_type *name##_find(const struct recent_key *key) {                           \
    struct name##_set *s = name##_set_of(key);                                                             \
    if (!s) return 0;                                                                                      \
    int way = recent_way(s->tags, key->tag);                                                               \
    if (way < 0) return 0;                                                                                 \
    if ((s->next & (RECENT_WAYS - 1)) == way) __sync_fetch_and_add(&s->next, 1); /* it stays */            \
    return &s->values[way & (RECENT_WAYS - 1)];                                                            \
  }                                                                                                        \
                                                                                                           \
  static __always_inline void name##_put(const struct recent_key *key, const value_type *value) {          \
    struct name##_set *s = name##_set_of(key);                                                             \
    if (!s) return;                                                                                        \
    int way = recent_way(s->tags, key->tag);                                                               \
    if (way < 0) way = __sync_fetch_and_add(&s->next, 1);                                                  \
    way &= RECENT_WAYS - 1;                                                                                \
    *(volatile __u64 *)&s->tags[way] = 0; /* nobody finds a part of it */                                  \
    RECENT_BARRIER;                                                                                        \
    s->values[way] = *value;                                                                               \
    RECENT_BARRIER;                                                                                        \
    *(volatile __u64 *)&s->tags[way] = key->tag;                                                           \
  }                                                                                                        \
                                                                                                           \
  static __always_inline void name##_forget(const struct recent_key *key) {                                \
    struct name##_set *s = name##_set_of(key);                                                             \
    int way = s ? recent_way(s->tags, key->tag) : -1;                                                      \
    if (s && way >= 0) s->tags[way & (RECENT_WAYS - 1)] = 0;                                               \
  }

// x86 keeps the order of loads, and that of stores; the compiler must, too.
#define RECENT_BARRIER __asm__ volatile("" ::: "memory")

struct recent_key {
  __u64 tag; // of the whole key, not 0
  __u32 set; // keys that are in use together differ here
};

static __always_inline int recent_way(const __u64 *tags, __u64 tag) {
  for (int i = 0; i < RECENT_WAYS; i++)
    if (tags[i] == tag) return i;
  return -1;
}

// The finalizer of MurmurHash3: every bit of the input changes half of the output's.
static __always_inline __u64 mixed(__u64 x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ULL;
  return x ^ x >> 33;
}

// `count`: counted up from key to key, within what `space` names.
static __always_inline struct recent_key recent_key(__u64 space, __u64 more, __u64 count) {
  __u64 where = mixed(space ^ mixed(more));
  struct recent_key key = {.tag = mixed(where ^ mixed(count)) | 1, .set = (__u32)(where >> 32) + (__u32)count};
  return key;
}
