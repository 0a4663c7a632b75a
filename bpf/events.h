// The ABI between the kernel side and user space. src/events/layout.ts is generated from the BTF of these.
// Times are CLOCK_MONOTONIC nanoseconds. Sizes are bytes. Trace and span ids are big-endian bytes.
#pragma once

enum event_kind {
  EVENT_REQUEST = 1,    // a complete request head: struct event_request + data
  EVENT_HEAD_PIECE = 2, // part of a request head whose end has not come yet: struct event_request + data
  EVENT_HEAD_DROPPED = 3, // the head whose pieces were sent is not sampled or not HTTP: forget them
  EVENT_RESPONSE = 4,   // the final response head is written: struct event_response + data
  EVENT_CLOSED = 5,     // the connection can carry no further response: struct event_response
  EVENT_EXEC = 6,       // a process started a new program: struct event_process
  EVENT_EXIT = 7,       // a traced process ends: struct event_process
  EVENT_NEEDED = 9,     // probes that may be parked are needed: TLS begins, or a blocking call: struct event_process
  EVENT_PANIC = 8,      // a panic starts to unwind: struct event_process
  EVENT_CALL = 10,      // a request is handed to a client library: struct event_call + data
  EVENT_CLIENT_REQUEST = 11,  // a request head is written: struct event_request + data
  EVENT_CLIENT_RESPONSE = 12, // a final response head is read: struct event_client_response + data
  EVENT_CLIENT_CLOSED = 13,   // the connection ends, its requests unanswered: struct event_client_response
  EVENT_CALL_END = 14,        // a caller is done with a call that no response has ended: struct event_call_end
  // HTTP/2, of either side: struct event_stream + data
  EVENT_STREAM_REQUEST = 15,  // request headers: received, or (FLAG_CLIENT) given to the connection
  EVENT_STREAM_RESPONSE = 16, // final response headers, likewise
  EVENT_STREAM_TRAILERS = 17,
  EVENT_STREAM_RESET = 18,    // by the peer, or (FLAG_LOCAL) by the process
  EVENT_STREAMS_CLOSED = 19,  // no stream above `sequence` gets anything more
  EVENT_CHECK = 20, // a probe or the task slot shows what it must not: struct event_check
};

enum event_source { SOURCE_SOCKET = 1, SOURCE_LIBRARY = 2 };

enum event_flag {
  FLAG_HAS_PARENT = 1 << 0, // parent_id came in a valid traceparent
  FLAG_TLS = 1 << 1,        // the connection's bytes are TLS records
  FLAG_EXITING = 1 << 2,    // closed because the process ends
  FLAG_LOST = 1 << 3,       // the connection lives on but can't be followed any more
  FLAG_CLIENT = 1 << 4,     // EVENT_NEEDED: the process begins TLS as a client
  FLAG_RESEND = 1 << 5,     // EVENT_CLIENT_REQUEST: the call was written before, on a connection that failed
  FLAG_LOCAL = 1 << 6,      // EVENT_STREAM_RESET, EVENT_STREAMS_CLOSED: not the peer's doing
  FLAG_CUT = 1 << 7,        // EVENT_STREAM_*: headers were left out for want of room
  FLAG_CHANNEL = 1 << 8,    // EVENT_CALL: to a gRPC channel, which adds scheme and authority later
  FLAG_OWN_CONTEXT = 1 << 9, // a client's request came with a traceparent of another trace, which it takes part in
  FLAG_BLOCKING = 1 << 10,  // EVENT_NEEDED: a blocking client makes a call, the first of the process
  FLAG_TASKS = 1 << 11,     // EVENT_NEEDED: what a task inherits from the one that made it matters
};

// Why a client request has no parent.
enum orphan {
  ORPHAN_NONE = 0,      // it has one
  ORPHAN_NO_TASK,       // neither a task nor a thread of its own is known
  ORPHAN_NO_CONTEXT,    // its task works for no request
  ORPHAN_SHARED,        // its task works for several requests
  ORPHAN_UNLINKED,      // written by a connection's task, for a caller that is not known
};

enum future_state { FUTURE_UNKNOWN = 0, FUTURE_RETURNED, FUTURE_SUSPENDED };

enum counter {
  COUNTER_RING_FULL = 0,     // a record did not fit in the ring
  COUNTER_SCRATCH_BUSY,      // no scratch buffer was free
  COUNTER_READ_FAILED,       // user memory could not be read
  COUNTER_HEAD_TRUNCATED,    // a request head was larger than the capture
  COUNTER_HEAD_TOO_LARGE,    // a head did not end within the scan limit
  COUNTER_CONNECTION_LOST,   // a connection became unfollowable
  COUNTER_SYSCALL_UNKNOWN,   // bytes moved by a system call whose buffers are not known
  COUNTER_HTTP2,             // connections that turned out to speak HTTP/2
  COUNTER_PIPELINE_DEEP,     // more than 64 unanswered requests on a connection
  COUNTER_MAP_FULL,          // a connection or task could not be recorded
  COUNTER_ROUTE_UNKNOWN,     // a route was seen that no single request could own
  COUNTER_UNSAMPLED,         // requests the sampler left out
  COUNTER_NO_TASK,           // client requests without parent, see enum orphan
  COUNTER_NO_CONTEXT,
  COUNTER_CONTEXT_SHARED,
  COUNTER_CALL_UNLINKED,
  COUNTER_IMPLAUSIBLE,       // records of probes that look wrong, or have looked wrong before
  COUNTER_INJECTED,          // requests that were given a traceparent
  COUNTER_INJECT_OWN,        // … that had one
  COUNTER_INJECT_PIECES,     // … that were given none: their heads come in pieces
  COUNTER_INJECT_UNUSUAL,    // heads that are not exactly as expected
  COUNTER_INJECT_LARGE,      // heads near the limits of common servers
  COUNTER_INJECT_PIPELINED,  // an answer to an earlier request is still to come
  COUNTER_INJECT_FULL,       // the socket might not take the whole head at once
  COUNTER_INJECT_CALL,       // which call they belong to is not known
  COUNTER_INJECT_OLD,        // the connection is older than the agent, and no library says that a head is written
  COUNTER_INJECT_MEMORY,     // the kernel had no memory for a header
  COUNTER_INJECT_SOCKET,     // connections that could not be added
  COUNTER_INJECT_FRAME,      // HTTP/2: frames that are padded, have a priority, go on in another or are full
  COUNTER_INJECT_STREAM,     // … streams that are not known, or could be another connection's
  COUNTER_INJECT_STEP,       // … connections whose frames are no longer followed
  COUNTER_INJECTED_TLS,      // requests under TLS that were given a traceparent
  COUNTER_INJECT_ROOM,       // … given none: no spare capacity behind the head
  COUNTER_INJECT_WRITE,      // … memory of the process that could not be read or written
  COUNTER_INJECT_TLS_STREAM, // … HTTP/2 under TLS, into which nothing is written
  COUNTER_MAX,
};

#define MAX_ROUTES 4
#define ROUTE_TEXT 256
#define CAPTURE_SIZE 4096

struct event_header {
  __u64 time_ns;
  __u64 connection; // number of the connection, unique in an agent's life
  __u64 task;       // Tokio task id, 0 when none or unknown
  __u32 tgid;
  __u32 tid;
  __u32 sequence; // number of the request on its connection, from 0
  __u16 kind;     // enum event_kind
  __u16 flags;    // enum event_flag
};
_Static_assert(sizeof(struct event_header) == 40, "ABI");

struct event_request {
  struct event_header header;
  __u64 start_ns; // first bytes of this head
  __u64 socket;   // library source: number of the socket below, 0 when unknown; of a client: number of the call
  __u8 trace_id[16];
  __u8 span_id[8];
  __u8 parent_id[8];
  __u8 local_address[16];
  __u8 peer_address[16];
  __u16 family; // AF_INET, AF_INET6, AF_UNIX, 0 when unknown
  __u16 local_port;
  __u16 peer_port;
  __u8 trace_flags;
  __u8 source;        // enum event_source
  __u32 head_size;    // the whole head, all pieces; of a piece: up to its end
  __u16 data_size;    // bytes of data below
  __u16 data_overlap; // leading bytes of data that the piece before has carried too
};
_Static_assert(sizeof(struct event_request) == 136, "ABI");

// A final response head, or (EVENT_CLOSED, status 0) its absence. Without data the record ends behind the
// routes' text.
struct event_response {
  struct event_header header; // EVENT_CLOSED: sequence = requests seen so far on the connection
  __u16 status;
  __u16 data_size;
  __u16 route_count;      // routers that the first unanswered request has passed
  __u16 route_text_size;
  __u16 route_size[MAX_ROUTES]; // bytes of each template in the text, outermost router first
  __u8 route_text[ROUTE_TEXT];
};
_Static_assert(sizeof(struct event_response) == 312, "ABI");

#define CALL_AUTHORITY 256
#define CALL_PATH 1024

// header.connection = number of the call; time_ns = when it was handed over. Data: path and query, then the authority;
// query, as the caller wrote them; cut at CALL_AUTHORITY and CALL_PATH.
struct event_call {
  struct event_header header;
  __u8 trace_id[16];
  __u8 span_id[8];
  __u8 parent_id[8];
  __u8 trace_flags;
  __u8 method; // tag of http::Method: OPTIONS, GET, POST, PUT, DELETE, HEAD, TRACE, CONNECT, PATCH, else extension
  __u8 scheme; // enum call_scheme
  __u8 orphan; // enum orphan
  __u16 authority_size;
  __u16 path_size;
  __u16 full_authority_size; // before cutting
  __u16 full_path_size;
  __u32 unused;
};
_Static_assert(sizeof(struct event_call) == 88, "ABI");

enum call_scheme { SCHEME_NONE = 0, SCHEME_HTTP, SCHEME_HTTPS, SCHEME_OTHER };

struct event_client_response {
  struct event_header header; // EVENT_CLIENT_CLOSED: sequence = requests written so far on the connection
  __u64 call;                 // 0 when none; closed: of the last request
  __u8 local_address[16];
  __u8 peer_address[16];
  __u16 family; // 0 when unknown
  __u16 local_port;
  __u16 peer_port;
  __u16 status;
  __u16 error; // closed: errno of the socket, 0 for an orderly end
  __u16 data_size;
  __u32 unused;
};
_Static_assert(sizeof(struct event_client_response) == 96, "ABI");

// header.connection = number of the call.
struct event_call_end {
  struct event_header header;
  __u8 state;       // enum future_state
  __u8 written;     // its request head was written
  __u8 given_up;    // the client library made an error of its own just before
  __u8 spawned;     // the task has made tasks since: 1 (a name is resolved in one)
  __u16 connects;   // since the call began, in its task
  __u16 established;
  __u16 connect_error; // errno of the last connect that failed, 0 when none has
  __u16 connect_port;  // of the last one
  __u32 unused;
};
_Static_assert(sizeof(struct event_call_end) == 56, "ABI");

// header.connection = address of the connection's streams in its process: used again when the connection is gone;
// sequence = number of the stream.
struct event_stream {
  struct event_header header;
  __u64 socket; // number of the socket below, 0 when unknown
  __u64 call;   // a client's request: number of the call, 0 when unknown
  __u8 trace_id[16]; // of requests
  __u8 span_id[8];
  __u8 parent_id[8];
  __u8 local_address[16]; // of what was received
  __u8 peer_address[16];
  __u16 family; // 0 when unknown
  __u16 local_port;
  __u16 peer_port;
  __u16 status;
  __u32 reason; // resets: error code, RFC 9113 §7
  __u16 data_size;
  __u8 trace_flags;
  __u8 method; // of requests, as in struct event_call; an extension's text is in the data
  __u8 orphan; // of a client's request that has no known call
  __u8 unused[7];
};
_Static_assert(sizeof(struct event_stream) == 144, "ABI");

// The data: one of these for each pseudo header, header and route, each followed by its name (of a custom header
// alone) and value.
struct stream_field {
  __u8 kind; // enum field_kind | FIELD_CUT
  __u8 name; // standard: number in http's enum StandardHeader; custom: bytes of the name; pseudo: enum pseudo
  __u16 value_size;
};
_Static_assert(sizeof(struct stream_field) == 4, "ABI");

enum field_kind { FIELD_STANDARD = 0, FIELD_CUSTOM, FIELD_PSEUDO, FIELD_ROUTE, FIELD_CUT = 0x80 };
enum pseudo { PSEUDO_METHOD = 0, PSEUDO_SCHEME, PSEUDO_AUTHORITY, PSEUDO_PATH, PSEUDO_PROTOCOL };

#define FIELD_VALUE 1024 // longer values are cut

struct event_process {
  struct event_header header;
};
_Static_assert(sizeof(struct event_process) == 40, "ABI");

// What is wrong with what was seen.
enum doubt {
  DOUBT_MEMORY = 1, // it can't be read
  DOUBT_POINTER,    // no address of a structure
  DOUBT_SIZE,       // larger than the library lets it be
  DOUBT_STATUS,     // not 100 to 999
  DOUBT_METHOD,     // no tag of http::Method
  DOUBT_TEXT,       // not what such a text begins with
  DOUBT_STREAM,     // no number of a stream
  DOUBT_STATE,      // no state of a future
  DOUBT_ROUTE,      // the router's table has no such route
  DOUBT_TASK,       // no id of a task
  DOUBT_TASK_ORDER, // a new task's id is not above those that were drawn before
  DOUBT_TASK_MOVED, // the task slot: a connection's requests are read in different tasks
  DOUBT_TASK_KEPT,  // … new tasks are made and never seen to run, while others get one connection after the other
  DOUBT_HEAD,       // the bytes are no HTTP/1 head: the peer may have sent them
  DOUBT_UNANSWERED, // a request was parsed before the last one's response was encoded
};

#define CHECK_BYTES 32
#define CHECK_TEXT_BYTES 8 // of what may be a text of the program or of its users

struct event_check {
  struct event_header header;
  __u32 site; // number of the probe or task slot, see struct site_check
  __u16 doubt;
  __u16 data_size;
  __u32 score; // these as in struct site_check
  __u32 wrong;
  __u32 odd;
  __u32 unanswered;
  __u64 value;            // what was seen: a pointer, size, status, id
  __u8 data[CHECK_BYTES]; // what is there, or where the value was read
};
_Static_assert(sizeof(struct event_check) == 104, "ABI");

// ---- values user space writes ----

enum target_flag {
  TARGET_SOCKET = 1 << 0,            // plaintext HTTP/1 from the socket tracepoints
  TARGET_LIBRARY = 1 << 1,           // hyper's parse and encode are probed
  TARGET_LIBRARY_PLAINTEXT = 1 << 2, // … and are the source for plaintext connections too
  TARGET_ROUTES = 1 << 3,            // axum's route function is probed
  TARGET_TASK_SLOT = 1 << 4,         // task_id_offset is known
  TARGET_WATCH_TLS = 1 << 6,         // tell when a client begins TLS
  TARGET_TASK_TAG = 1 << 5,          // task_tag_offset tells whether there is a task (1) or not
  TARGET_CONTEXTS = 1 << 7,          // remember which request a task works for
  TARGET_CLIENT_SOCKET = 1 << 8,     // plaintext HTTP/1 requests of its clients from the socket tracepoints
  TARGET_CLIENT_LIBRARY = 1 << 9,    // hyper's client encode and parse are the source for TLS connections
  TARGET_CLIENT_LIBRARY_PLAINTEXT = 1 << 10, // … and for plaintext ones
  TARGET_CALLS = 1 << 11,            // hyper's client encode is probed: it tells whose request a connection writes
  TARGET_WRITER_CONTEXT = 1 << 12,   // a request that no probed client writes belongs to the task that writes it
  TARGET_WATCH_CLIENT_TLS = 1 << 13, // as TARGET_WATCH_TLS, for its clients
  TARGET_STREAMS = 1 << 14,          // h2 is probed for requests that it receives
  TARGET_CLIENT_STREAMS = 1 << 15,   // … and for those that it sends
  TARGET_INJECT = 1 << 16,           // write trace context into its plaintext requests
  TARGET_INJECT_TLS = 1 << 17,       // … and into those under TLS, in its memory
  TARGET_WATCH_CALLS = 1 << 18,      // tell when what tasks inherit matters: nobody remembers it
  TARGET_WRITES_SEEN = 1 << 19,      // no request of hyper's clients is written unseen, over either version of HTTP
};

// Elements of `targets`: first places, and second ones for processes whose first is another's. Powers of two.
#define TARGET_PLACES 16384
#define SECOND_PLACES 2048

struct target {
  __u32 flags;
  __s32 task_tag_offset; // both relative to the thread pointer
  __s32 task_id_offset;
  __u32 layout; // index in layouts
  // What its sockets have carried since user space last wrote this, counted by the kernel side; atomically, since it may be
  // written at that moment, but for connections under TLS, of which one is enough.
  __u32 plaintext; // requests
  __u32 tls;       // connections on which a client began TLS, and requests that sockets don't show but the library
  __u32 client_plaintext; // the same for requests and connections of its own clients
  __u32 client_tls;
  __u32 executed; // requests that reqwest's asynchronous client was given
  __u32 tasks;     // made
  __u32 inheriting; // calls, and routes of streams: what a task inherits mattered
  __u32 slot_site; // number of the task slot among what is checked, 0: it is not
  // Calls of its clients since then: seen to begin, found again where they are written; and requests that are written without
  // one.
  __u32 calls;
  __u32 links;
  __u32 unlinked;
  __u32 tgid; // whose it is, 0: nobody's. Written last: what comes before is there when it is
};
_Static_assert(sizeof(struct target) == 64, "ABI");

// How well a probe (by its number in the attach cookie) or a binary's task slot does: docs/design/0015-self-check.md.
struct site_check {
  __u32 score; // hits that looked as they must, up to CHECK_PROVEN, less CHECK_PENALTY for each that did not
  __u32 wrong; // hits that no right site has
  __u32 odd;   // hits whose bytes were not as expected, which may be the peer's doing
  __u32 unanswered;
  // tokio_task_new: the greatest id so far, and its process. A task slot: the greatest that was seen to run.
  __u64 process;
  __u64 last;
  // A task slot.
  __u64 first;  // id that was seen to be drawn first; SLOT_UNPROVEN: none so far; 0: nobody sees them drawn
  __u32 made;   // tasks since the greatest has changed
  __u32 proven; // connections that were served by tasks drawn since `first`
};
_Static_assert(sizeof(struct site_check) == 48, "ABI");

#define SLOT_UNPROVEN (1ULL << 63)
#define CHECK_SITES 8192
#define CHECK_CALLS 8
#define CHECK_PROVEN 256
#define CHECK_PENALTY 16
// A site that has been wrong is believed from this score on.
#define CHECK_TRUSTED 16


struct file_key {
  __u64 device; // as in the kernel: major << 20 | minor
  __u64 inode;
};

// Member offsets inside the libraries' structures, by the attach cookie.
struct binary_layout {
  __u16 parse_context_req_method;
  __u16 encode_head;
  __u16 encode_req_method;
  __u16 head_status;
  __u16 bytes_mut_pointer;
  __u16 bytes_mut_length;
  // axum: HashMap<RouteId, Arc<str>> and its buckets
  __u16 table_control;
  __u16 table_mask;
  __u16 table_keys; // of the hasher, two u64
  __u16 bucket_size;
  __u16 bucket_id;
  __u16 bucket_pointer;
  __u16 bucket_length;
  __u16 arc_header; // bytes before an Arc<str>'s text
  // hyper's client: Encode<RequestLine>, and MessageHead<RequestLine> behind it
  __u16 client_encode_head;
  __u16 client_encode_req_method;
  __u16 client_head_entries; // HeaderMap's Vec of entries: the pointer
  __u16 client_head_path;    // Uri's path and query: pointer, length 8 bytes behind it
  __u16 client_parse_req_method; // of ParseContext
  // http::Request
  __u16 request_method;
  __u16 request_scheme; // tag: 0 none, 1 standard (the next byte: 0 http, 1 https), else other
  __u16 request_authority;
  __u16 request_path;
  __u16 request_entries;          // pointer
  __u16 request_entries_length;
  __u16 request_entries_capacity;
  // HeaderMap's entries: Bucket<HeaderValue>
  __u16 entry_size;
  __u16 entry_name;        // of a custom header: pointer, length 8 bytes behind it
  __u16 entry_name_custom; // a word that is 0 for standard headers
  __u16 entry_name_tag;    // of a standard one, a byte
  __u16 entry_value;       // pointer, length 8 bytes behind it
  // h2: frame::Headers
  __u16 frame_entries;
  __u16 frame_entries_length;
  __u16 frame_method; // tag; of a short extension its text is behind it
  __u16 frame_scheme; // pointer of the text, length 8 bytes behind it, of these four
  __u16 frame_authority;
  __u16 frame_path;
  __u16 frame_protocol;
  __u16 frame_text_present; // from such a pointer to the word that is 0 when there is no text, modulo 65536
  __u16 frame_status; // 0: none
  // h2: store::Ptr, DynStreams, frame::GoAway
  __u16 stream_store;
  __u16 stream_id;
  __u16 streams_inner;   // pointer of the lock
  __u16 inner_store;     // from the lock to the store
  __u16 go_away_last_id;
  // std's Vec
  __u16 vec_pointer;
  __u16 vec_length;
  __u16 vec_capacity;
  __u64 standard_headers[4]; // by number: which are wanted of what is received, and of what is sent
};
_Static_assert(sizeof(struct binary_layout) == 128, "ABI");

// An attach cookie: the layout's number and the site's of 16 bits each (0: a site that is not judged), an offset of 16
// bits, a register by its number in x86 encodings.
// tokio_task_new: the register holds the new id. reqwest_*: it points to the request, in which the pointer of the
// URL's text is at the offset. hyper_client_call: rsi points so far behind the request's start;
// axum_set_matched_path_at: the lower 4 bits name the register with the route's number, the next 4 the one that points so
// far behind the map, signed. hyper_client_call_at: the register does, the offset being signed. hyper_client_drop:
// where in the future its state is, 0xffff when unknown. hyper_*_parse: 0, or the register that points to ParseContext in
// the upper 4 bits; hyper_*_parse_at: rsi points so far behind the connection's key, signed. h2_*: the register's lower 4 bits name the one that points to
// the frame (h2_recv_reset: that holds the stream's number, with the reason in rcx; h2_send_reset: the reason), the next
// 4 the one that points to store::Ptr (h2_closed, h2_recv_reset, h2_go_away: to DynStreams), or, with bit 8, the one that
// points so far behind the store, signed; then the first one holds the stream's number. h2_send_trailers: the
// offset is added to the address there.
#define COOKIE_SITE_SHIFT 16
#define COOKIE_OFFSET_SHIFT 32
#define COOKIE_REGISTER_SHIFT 48

enum sampler { SAMPLER_OFF = 0, SAMPLER_ON = 1, SAMPLER_RATIO = 2 };
