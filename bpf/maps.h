// Every map of the object. Sizes that depend on the machine are set by the loader.
#pragma once

#define RING(name, size)                                                                                   \
  struct {                                                                                                 \
    __uint(type, BPF_MAP_TYPE_RINGBUF);                                                                    \
    __uint(max_entries, size);                                                                             \
  } name SEC(".maps")

#define MAP(name, kind, size, key_type, value_type)                                                        \
  struct {                                                                                                 \
    __uint(type, kind);                                                                                    \
    __uint(max_entries, size);                                                                             \
    __type(key, key_type);                                                                                 \
    __type(value, value_type);                                                                             \
  } name SEC(".maps")

// Local storage: no size, no preallocation; freed with its socket or thread.
#define STORAGE(name, kind, value_type)                                                                    \
  struct {                                                                                                 \
    __uint(type, kind);                                                                                    \
    __uint(map_flags, BPF_F_NO_PREALLOC);                                                                  \
    __type(key, int);                                                                                      \
    __type(value, value_type);                                                                             \
  } name SEC(".maps")

enum half_state {
  HALF_IDLE = 0,    // the next byte begins a head
  HALF_HEAD,        // inside a head
  HALF_LENGTH,      // `remaining` bytes of body are left
  HALF_CHUNKED,     // inside a chunked body, see enum chunk_state
  HALF_UNTIL_CLOSE, // a body that only the end of the connection ends
  HALF_TUNNEL,      // no longer HTTP/1: upgraded or CONNECT
  HALF_WAIT,        // CONNECT: what follows depends on the response
  HALF_UNKNOWN,     // lost
};

enum chunk_state { CHUNK_SIZE = 0, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER, CHUNK_TRAILER_LINE };

// One direction of a connection.
struct half {
  __u64 remaining;
  __u8 state;
  __u8 chunk;
  __u8 digits;
  __u8 unused[5];
};

enum role { ROLE_NEW = 0, ROLE_SERVER, ROLE_TLS, ROLE_OTHER };

struct connection {
  __u64 id;
  __u64 head_start_ns;
  __u64 task; // the task that has read the last request
  __u64 sampled; // bit `sequence % 64`
  __u64 heads;   // HEAD requests, likewise
  struct half rx;
  struct half tx;
  __u32 received; // complete request heads
  __u32 answered; // final response heads
  __u32 tgid;
  __u8 role;
  __u8 closed;
  __u8 connect; // the last request is CONNECT; 2: bytes came behind it
  __u8 unused;
};

// An incomplete head between two reads (rx) or writes (tx).
struct partial {
  struct head head;
  __u32 total;   // bytes of the head before `carry`
  __u32 sent;    // bytes given to user space
  __u32 carried; // bytes in carry
  __u8 carry[CARRY];
};

struct partials {
  struct partial rx;
  struct partial tx;
};

struct addresses {
  __u8 local[16];
  __u8 peer[16];
  __u16 family;
  __u16 local_port;
  __u16 peer_port;
  __u16 unused;
};

// What the thread has read last from a socket: the connection under a library's parser.
struct thread {
  __u64 connection;
  __u64 task;
  struct addresses addresses;
  __u8 tls;
  __u8 by_socket; // the socket tier reports this connection
  __u8 closed;    // reset by the peer, with bytes left to read
  __u8 unused[5];
};

struct task_key {
  __u64 task;
  __u32 tgid;
  __u32 unused;
};

// The connection whose requests a task handles.
// The routers that a request has passed. Room for two texts: each is bounded on its own.
struct routes {
  __u16 count;
  __u16 text_size;
  __u16 size[MAX_ROUTES];
  __u32 unused;
  __u8 text[2 * ROUTE_TEXT];
};

#define HASH_MAP_BYTES 48 // std's HashMap: table and hasher
#define TABLE_BYTES 64
#define BUCKET_BYTES 32

// Work space of a look-up in axum's RouteId → template table. Not on the stack: offsets that come from a
// layout may index memory, but not a stack.
struct route_lookup {
  struct binary_layout layout;
  __u32 id;
  __u32 found; // bytes of the template, 0 = not found
  __u32 unused;
  __u64 control;
  __u64 mask;
  __u64 text; // address of the template
  __u8 table[TABLE_BYTES];
  __u8 bucket[BUCKET_BYTES];
};

struct task_connection {
  __u64 connection;
  __s32 open; // unanswered requests
  __u32 shared;
  struct routes routes;
  struct route_lookup lookup;
};

struct library_key {
  __u64 pointer; // hyper: &mut req_method of the connection
  __u32 tgid;
  __u32 unused;
};

struct library_connection {
  __u64 id;
  __u64 socket;
  __u64 head_start_ns;
  __u64 task;
  struct addresses addresses;
  __u32 received;
  __u32 answered;
  __u8 open;
  __u8 sampled;
  __u8 tls;
  __u8 by_socket; // the socket tier reports this connection
  __u8 closed;    // as in struct thread
  __u8 unused[3];
};

RING(ring, 16 << 20);
MAP(targets, BPF_MAP_TYPE_HASH, 4096, __u32, struct target);
MAP(files, BPF_MAP_TYPE_HASH, 1024, struct file_key, struct target);
MAP(layouts, BPF_MAP_TYPE_ARRAY, 1024, __u32, struct binary_layout);
MAP(counters, BPF_MAP_TYPE_PERCPU_ARRAY, COUNTER_MAX, __u32, __u64);
MAP(scratches, BPF_MAP_TYPE_ARRAY, 64, __u32, struct scratch);
// Not preallocated: a value is large, and there is one a connection of a program with routes.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 65536);
  __type(key, struct task_key);
  __type(value, struct task_connection);
} tasks SEC(".maps");
MAP(library_connections, BPF_MAP_TYPE_HASH, 65536, struct library_key, struct library_connection);
MAP(library_sockets, BPF_MAP_TYPE_HASH, 65536, __u64, struct library_key);
// Sockets that closed a moment ago, by number: a request may still be on its way from read to parser.
MAP(closed_sockets, BPF_MAP_TYPE_LRU_HASH, 4096, __u64, __u8);
STORAGE(connections, BPF_MAP_TYPE_SK_STORAGE, struct connection);
STORAGE(partial_heads, BPF_MAP_TYPE_SK_STORAGE, struct partials);
STORAGE(threads, BPF_MAP_TYPE_TASK_STORAGE, struct thread);

// Set by the loader, constant to the verifier.
const volatile __u32 sampler_root = SAMPLER_ON;
const volatile __u32 sampler_parent_sampled = SAMPLER_ON;
const volatile __u32 sampler_parent_unsampled = SAMPLER_OFF;
const volatile __u64 sampler_ratio = 0; // of the last 8 bytes of the trace id, upper 63 bits: sampled below
const volatile __u32 extract_traceparent = 1;
const volatile __u32 capture_response_heads = 0;
const volatile __u32 has_preempt_guard = 0;
const volatile __u32 scratch_slots = 64;

__u64 next_connection = 1;

static __always_inline void count(__u32 which) {
  __u64 *value = bpf_map_lookup_elem(&counters, &which);
  if (value) __sync_fetch_and_add(value, 1);
}

static __always_inline __u64 new_connection_id(void) { return __sync_fetch_and_add(&next_connection, 1); }
