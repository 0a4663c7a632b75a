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

#include "recent.h"

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

enum role { ROLE_NEW = 0, ROLE_SERVER, ROLE_TLS, ROLE_OTHER, ROLE_CLIENT };

// Which call a request belongs to, and where its caller keeps it.
struct call_place {
  __u64 id;     // number of the call, 0: none
  __u64 caller; // task, see caller_key
  __u32 slot;
  __u32 unused;
};

// HTTP/2: where in its frames the next message begins.
enum frame_step { FRAMES_UNKNOWN = 0, FRAMES_FOLLOWED };

struct outgoing_frames {
  __u64 skip;   // bytes until the next frame
  __u64 before; // … before the send that is under way
  __u64 send;   // its number: the same when it was refused and is made again
  __u32 size;   // bytes that it has shown
  __u8 step;    // enum frame_step
  __u8 step_before;
  __u8 unused[2];
};

// What sk_msg, which sees a message before it is sent, says to the tracepoint behind the send.
struct outgoing {
  __u32 ids[6]; // of the CLIENT span of the request that is sent, when `prepared`
  __u32 parent[2];
  __u32 sending; // sk_msg has run since the last send has ended
  __u8 trace_flags;
  __u8 sampled;
  __u8 orphan; // enum orphan
  __u8 prepared;
  __u8 whole; // the connection is known since before its first byte
  __u8 unused[7];
  struct outgoing_frames frames;
};

// `rx` and `tx` are what this process reads and writes; whose requests they are, `role` says.
struct connection {
  __u64 id;
  __u64 head_start_ns;
  __u64 task; // the task that has read (client: written) the last request, or that connects
  struct call_place call; // client: of the last request
  __u64 library;          // client under TLS: the connection's pointer, see library_key
  __u64 sampled; // bit `sequence % 64`
  __u64 heads;   // HEAD requests, likewise
  struct half rx;
  struct half tx;
  __u32 received; // complete request heads
  __u32 answered; // final response heads
  __u64 process; // see process_key
  __u8 role;
  __u8 closed;
  __u8 connect; // the last request is CONNECT; 2: bytes came behind it
  __u8 looks;   // how often a connection of another kind was looked at again
  __u8 early;   // reads that were remembered by their task, of `accepted`
  __u8 local;   // AF_UNIX: nothing tells its end
  __u8 accepted; // it began with a client's hello that was read: a server's, under TLS
  __u8 proxied;  // it began with a header of the PROXY protocol
  struct outgoing out;
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

// The span that a task or thread works under: the parent of its client requests.
struct context {
  __u32 ids[6]; // trace id and span id, big-endian bytes
  __u8 flags;   // W3C trace flags
  __u8 known;
  __u8 handed;  // by a blocking client, for one call
  __u8 grpc;    // of a gRPC server's stream: it has no route
  __u8 unused[4];
};

// What was read last from a socket: the connection under a library's parser.
struct last_read {
  __u64 connection;
  __u64 task;
  struct addresses addresses;
  __u8 tls;
  __u8 by_socket; // the socket tier reports this connection
  __u8 closed;    // reset by the peer, with bytes left to read
  __u8 accepted;  // as in struct connection
  __u8 unused[4];
  __u64 above;    // pointer of the library's connection that has it, see library_key; 0: none so far
};

struct thread {
  struct context context; // of the request it handles, when it reads from blocking sockets
  __u64 context_connection;
  struct last_read read;
  struct context accepts; // HTTP/2: of the stream that this task has accepted last, for the task made next
  __u64 accepting;        // the task
  __u64 accepted;         // number of the stream, see stream_number
  __u64 sends;            // HTTP/2: key of the call whose request h2 has, for the stream made next
};

// A process between two execs: ids of tasks begin anew in the next one, and numbers of processes are used again.
struct task_key {
  __u64 task;
  __u64 process; // see process_key
};

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
#define KNOWN_BUCKETS 16

// Work space of a look-up in axum's RouteId → template table. Not on the stack: offsets that come from a
// layout may index memory, but not a stack.
struct route_lookup {
  __u32 id;
  __u32 found; // bytes of the template, 0 = not found
  __u32 bucket_at; // its bucket's number
  __u64 control;
  __u64 mask;
  __u64 text; // address of the template
  // In which buckets templates were found, by the lower bits of their ids, while the table is the same: its place, its size
  // and the keys of its hasher, which each map draws that is no clone.
  __u64 known_table[4];
  __u32 known[KNOWN_BUCKETS];
  __u8 table[TABLE_BYTES];
  __u8 bucket[BUCKET_BYTES];
};

#define WAITING 4

// The connection whose requests a task handles.
struct task_connection {
  __u64 connection;
  __s32 open; // unanswered requests
  __u32 shared;
  __u32 waiting_count; // beyond WAITING: some are forgotten
  __u32 doubtful;      // it may be no task
  struct context context;          // of the first unanswered request, else of the last
  struct context waiting[WAITING]; // of pipelined ones behind it
  struct routes routes;
  struct route_lookup lookup;
};

struct library_key {
  __u64 pointer; // hyper: &mut req_method of the connection
  __u64 process;
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
  __u8 closed;    // as in struct last_read
  __u8 unused[3];
};

// In `drivers`: whose head is encoded, but not yet written.
enum pending { PENDING_NONE = 0, PENDING_CALL, PENDING_UNKNOWN, PENDING_SHARED, PENDING_TLS, PENDING_ENDED, PENDING_DONE };

// A request on its way from its caller to a connection.
struct client_call {
  struct call_place place;
  __u64 path;      // pointer of the URI's path; PENDING_TLS: of the connection, as in library_key
  __u64 entries;   // of the HeaderMap when it was handed over; of a full one in a channel: see print_of
  __u32 ids[6];    // trace id and span id
  __u32 parent[2]; // span id, 0: none
  __u8 sampled;
  __u8 trace_flags;
  __u8 scheme;
  __u8 pending; // enum pending
  __u32 sharers; // calls that wait under the same pointer since `since`: beyond 1 nobody knows which is which
  __u64 since;
  __u64 output; // in `drivers`: the encoder's buffer, a Vec, until it returns; PENDING_SHARED: since when none was written
};

#define CALL_SLOTS 16 // calls of one task at a time whose end without a response is noticed

struct open_call {
  __u32 sampled;
  __u16 root; // the path is `/`: its connection finds another text in its place
  __u16 unwritten; // it failed before its connection had it
  __u64 id;
  __u64 key;  // of `calls`
  __u64 path; // pointer of the URI's path: the caller's future holds it until its end
};

// A task's (or thread's) calls, and what it has seen of connections since the first of them began.
struct caller {
  __u64 open; // by bit: waiting for their response
  __u64 answered;
  __u64 channels; // of both: to gRPC channels
  __u64 streamed; // of those answered: carried by streams, which tell more
  struct open_call calls[CALL_SLOTS];
  __u16 connects;
  __u16 established;
  __u16 connect_error;
  __u16 connect_port;
  __u8 spawned;
  __u8 given_up;
  __u8 crowded; // it had more calls than places: some futures are of calls that are not here
  __u8 unused[5];
};

// HTTP/2: a stream by the address of its connection's store and its number in it.
struct stream_key {
  __u64 store;
  __u64 process;
  __u32 id;
  __u32 unused;
};

enum announced_as { ANNOUNCED_UNKNOWN = 0, ANNOUNCED_OWN, ANNOUNCED_NEW };

// A stream's request that h2 has been given and that its connection has not written yet.
struct announced {
  __u32 ids[6];
  __u32 parent[2];
  __u64 written; // by which send, 0: by none so far
  __u8 trace_flags;
  __u8 as;    // enum announced_as
  __u8 state; // it has a tracestate
  __u8 unused[5];
};

// Stores that have announced a stream of this number: where it is one alone, the socket that writes it is its own.
struct stream_number {
  __u64 process;
  __u32 id;
  __u32 unused;
};

struct announcers {
  __u64 store;
  __u32 several;
  __u32 unused;
};

// A connection of hyper's client under TLS.
struct client_connection {
  struct call_place call;
  __u64 id;
  __u64 socket; // number of the socket's connection below; 0 before its first write
  __u64 task;
  __u32 sequence;
  __u8 open;
  __u8 sampled;
  __u8 tls;
  __u8 unused;
};

RING(ring, 16 << 20);
// By the number of the process: see first_place. Asked at each hit, and for every socket of the host: a look-up in a hash map
// costs more. Where two processes had the same first place once, it is marked for good.
MAP(targets, BPF_MAP_TYPE_ARRAY, TARGET_PLACES + SECOND_PLACES, __u32, struct target);
MAP(crowded_places, BPF_MAP_TYPE_ARRAY, TARGET_PLACES, __u32, __u8);
MAP(files, BPF_MAP_TYPE_HASH, 1024, struct file_key, struct target);
MAP(layouts, BPF_MAP_TYPE_ARRAY, 1024, __u32, struct binary_layout);
MAP(counters, BPF_MAP_TYPE_PERCPU_ARRAY, COUNTER_MAX, __u32, __u64);
MAP(sites, BPF_MAP_TYPE_ARRAY, CHECK_SITES, __u32, struct site_check);
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
// By task_place: what a task has read last, of a connection that has just begun.
RECENT(reads, 1024, struct last_read);
// Contexts that tasks were born with, by task_place. There is no hook on a task's end: the oldest are forgotten.
RECENT(born, 16384, struct context);
// By a pointer that moves with the request: its HeaderMap's entries, or its URI's path.
MAP(calls, BPF_MAP_TYPE_LRU_HASH, 32768, struct library_key, struct client_call);
MAP(callers, BPF_MAP_TYPE_LRU_HASH, 16384, struct task_key, struct caller);
// Tasks made while their maker had calls open: they may have been given one of its futures.
MAP(makers, BPF_MAP_TYPE_LRU_HASH, 16384, struct task_key, __u64);
MAP(drivers, BPF_MAP_TYPE_LRU_HASH, 16384, struct task_key, struct client_call);
MAP(client_connections, BPF_MAP_TYPE_LRU_HASH, 16384, struct library_key, struct client_connection);
// By stream_place: streams that were received and not yet accepted, and those that were announced and not yet written.
RECENT(streams, 4096, struct context);
RECENT(announcements, 4096, struct announced);
// Of connections whose socket is not known so far. Sockets by their stores, as long as `socket_stores` says the same.
MAP(stream_announcers, BPF_MAP_TYPE_LRU_HASH, 16384, struct stream_number, struct announcers);
MAP(known_stores, BPF_MAP_TYPE_LRU_HASH, 4096, struct library_key, __u64);
// Stores by the socket's number, from what was received there.
MAP(socket_stores, BPF_MAP_TYPE_LRU_HASH, 16384, __u64, __u64);
// Of incoming requests, by the SERVER span's id.
MAP(trace_states, BPF_MAP_TYPE_LRU_HASH, 4096, __u64, struct trace_state);
// As in `tasks`, of tasks that handle one stream each: nothing tells when such a task ends.
MAP(stream_tasks, BPF_MAP_TYPE_LRU_HASH, 1024, struct task_key, struct task_connection);
// Blocking clients: processes that have used one, and contexts by the pointer of the URL's text.
MAP(blockers, BPF_MAP_TYPE_HASH, 4096, __u32, __u8);
MAP(handoffs, BPF_MAP_TYPE_LRU_HASH, 4096, struct library_key, struct context);
// Sockets on which trace context is written, by cookie.
MAP(injected_sockets, BPF_MAP_TYPE_SOCKHASH, 65536, __u64, __u64);
STORAGE(connections, BPF_MAP_TYPE_SK_STORAGE, struct connection);
STORAGE(partial_heads, BPF_MAP_TYPE_SK_STORAGE, struct partials);
STORAGE(threads, BPF_MAP_TYPE_TASK_STORAGE, struct thread);

// Set by the loader, constant to the verifier.
const volatile __u32 sampler_root = SAMPLER_ON;
const volatile __u32 sampler_parent_sampled = SAMPLER_ON;
const volatile __u32 sampler_parent_unsampled = SAMPLER_OFF;
const volatile __u64 sampler_ratio = 0; // of the last 8 bytes of the trace id, upper 63 bits: sampled below
const volatile __u32 extract_traceparent = 1;
const volatile __u32 pass_tracestate = 0;
const volatile __u32 extract_b3 = 0; // EXTRACT_B3_…
const volatile __u32 capture_response_heads = 0;
const volatile __u32 capture_client_heads = 0;
const volatile __u32 has_preempt_guard = 0;
const volatile __u32 messages_see_threads = 0; // sk_msg may use the storage of threads
const volatile __u32 scratch_slots = 64;

__u64 next_connection = 1;
__u64 next_call = 1;
__u64 next_send = 1;

static __always_inline void count(__u32 which) {
  __u64 *value = bpf_map_lookup_elem(&counters, &which);
  if (value) __sync_fetch_and_add(value, 1);
}

static __always_inline __u64 new_connection_id(void) { return __sync_fetch_and_add(&next_connection, 1); }
static __always_inline __u64 new_call_id(void) { return __sync_fetch_and_add(&next_call, 1); }
