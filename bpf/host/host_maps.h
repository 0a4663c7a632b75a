// Maps: arrays, and chained hash tables whose values stay where they are. The map variables of maps.h hold
// nothing; their types carry kind and sizes.
#pragma once

#define HOST_MAPS 32
#define HOST_BUCKETS 512
#define HOST_TOUCHED 64

struct node {
  struct node *next;
  __u8 *key, *value;
};

struct host_map {
  const void *id; // address of the map's variable
  __u32 kind, entries, key_size, value_size, used;
  __u8 *array;
  __u32 touched[HOST_TOUCHED], touches; // elements since the last clearing
  struct node *buckets[HOST_BUCKETS];
};

static struct host_map host_maps[HOST_MAPS];
static __u32 host_map_limit; // 0: the map's own size; else every hash map is full at this many entries

static int host_is_array(const struct host_map *m) {
  return m->kind == BPF_MAP_TYPE_ARRAY || m->kind == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static struct host_map *host_map_of(const void *id, __u32 kind, __u32 entries, __u32 key_size, __u32 value_size) {
  int i = 0;
  while (i < HOST_MAPS && host_maps[i].id && host_maps[i].id != id) i++;
  if (i == HOST_MAPS) fail("Cannot make more than %d maps", HOST_MAPS);
  struct host_map *m = &host_maps[i];
  if (m->id) return m;
  m->id = id;
  m->kind = kind;
  m->entries = entries;
  m->key_size = key_size;
  m->value_size = value_size;
  if (host_is_array(m)) m->array = calloc(entries, value_size);
  return m;
}

static struct node **host_find(struct host_map *m, const void *key) {
  __u32 hash = 2166136261u; // FNV-1a
  for (__u32 i = 0; i < m->key_size; i++) hash = (hash ^ ((const __u8 *)key)[i]) * 16777619u;
  struct node **at = &m->buckets[hash % HOST_BUCKETS];
  while (*at && memcmp((*at)->key, key, m->key_size)) at = &(*at)->next;
  return at;
}

static void host_touch(struct host_map *m, __u32 index) {
  for (__u32 i = 0; i < m->touches && i < HOST_TOUCHED; i++)
    if (m->touched[i] == index) return;
  if (m->touches < HOST_TOUCHED) m->touched[m->touches] = index;
  m->touches++;
}

static void *host_lookup(struct host_map *m, const void *key) {
  if (host_is_array(m)) {
    __u32 index = *(const __u32 *)key;
    if (index >= m->entries) return 0;
    host_touch(m, index);
    return m->array + (__u64)index * m->value_size;
  }
  struct node *n = *host_find(m, key);
  return n ? n->value : 0;
}

static long host_update(struct host_map *m, const void *key, const void *value, __u64 flags) {
  __u8 *there = host_lookup(m, key);
  if (there && flags == BPF_NOEXIST) return -17;
  if (there) {
    memcpy(there, value, m->value_size);
    return 0;
  }
  if (host_is_array(m) || m->used >= m->entries || (host_map_limit && m->used >= host_map_limit)) return -7;
  struct node **at = host_find(m, key), *n = calloc(1, sizeof *n);
  n->key = memcpy(malloc(m->key_size), key, m->key_size);
  n->value = memcpy(malloc(m->value_size), value, m->value_size);
  *at = n;
  m->used++;
  return 0;
}

static long host_delete(struct host_map *m, const void *key) {
  struct node **at = host_find(m, key), *n = *at;
  if (!n) return -2;
  *at = n->next;
  free(n->key);
  free(n->value);
  free(n);
  m->used--;
  return 0;
}

static void *host_storage(struct host_map *m, const void *object, __u64 flags) {
  void *there = host_lookup(m, &object);
  if (there || !(flags & BPF_LOCAL_STORAGE_GET_F_CREATE)) return there;
  __u8 *zero = calloc(1, m->value_size);
  long failed = host_update(m, &object, zero, BPF_ANY);
  free(zero);
  return failed ? 0 : host_lookup(m, &object);
}

// What the kernel does when a socket or thread is freed.
static void host_forget_object(const void *object) {
  for (int i = 0; i < HOST_MAPS && host_maps[i].id; i++) {
    __u32 kind = host_maps[i].kind;
    if (kind == BPF_MAP_TYPE_SK_STORAGE || kind == BPF_MAP_TYPE_TASK_STORAGE) host_delete(&host_maps[i], &object);
  }
}

// Of large arrays few elements are ever used.
static void host_clear_array(struct host_map *m) {
  if (m->touches > HOST_TOUCHED) memset(m->array, 0, (__u64)m->entries * m->value_size);
  else
    for (__u32 i = 0; i < m->touches; i++) memset(m->array + (__u64)m->touched[i] * m->value_size, 0, m->value_size);
  m->touches = 0;
}

static void host_clear_maps(void) {
  for (int i = 0; i < HOST_MAPS && host_maps[i].id; i++) {
    struct host_map *m = &host_maps[i];
    if (m->array) host_clear_array(m);
    for (int b = 0; m->used && b < HOST_BUCKETS; b++)
      while (m->buckets[b]) {
        __u8 *key = m->buckets[b]->key;
        host_delete(m, key);
      }
  }
}

#define HOST_LENGTH(member) (sizeof *(member) / sizeof(int))
#define HOST_MAP(map)                                                                                      \
  host_map_of(map, HOST_LENGTH((map)->type), HOST_LENGTH((map)->max_entries), sizeof *(map)->key,           \
              sizeof *(map)->value)
#define HOST_STORAGE(map)                                                                                  \
  host_map_of(map, HOST_LENGTH((map)->type), 1u << 20, sizeof(void *), sizeof *(map)->value)
#define bpf_map_lookup_elem(map, key) host_lookup(HOST_MAP(map), key)
#define bpf_map_update_elem(map, key, value, flags) host_update(HOST_MAP(map), key, value, flags)
#define bpf_map_delete_elem(map, key) host_delete(HOST_MAP(map), key)
#define bpf_sk_storage_get(map, socket, value, flags) ((void)(value), host_storage(HOST_STORAGE(map), socket, flags))
#define bpf_task_storage_get(map, task, value, flags) ((void)(value), host_storage(HOST_STORAGE(map), task, flags))
