// The programs of HTTP/2 on memory and layouts that make no sense. What must hold: no read or write outside the
// buffers (the sanitizers see to that), scratch memory given back (finish_call), fields that add up to the record.
#pragma once

#define FUZZ_REGIONS 6
#define FUZZ_REGION_BYTES 4096
#define FUZZ_BASE 0x600000000000ULL
#define FUZZ_WORLD 64 // inputs in the same memory

static __u64 fuzz_pointer(void) { return FUZZ_BASE + (fuzz_random(FUZZ_REGIONS) << 16) + fuzz_random(512) * 8; }

static __u64 fuzz_word(void) {
  switch (fuzz_random(4)) {
  case 0: return fuzz_pointer();
  case 1: return fuzz_random(300);
  case 2: return 0;
  default: return (__u64)fuzz_random(1u << 31) << 33 ^ fuzz_random(1u << 31);
  }
}

static void fuzz_memory(void) {
  static __u64 words[FUZZ_REGION_BYTES / 8];
  for (int r = 0; r < FUZZ_REGIONS; r++) {
    for (unsigned i = 0; i < FUZZ_REGION_BYTES / 8; i++) words[i] = fuzz_word();
    host_map_at(FUZZ_BASE + ((__u64)r << 16), words, fuzz_random(3) ? FUZZ_REGION_BYTES : fuzz_random(FUZZ_REGION_BYTES));
  }
  lasting_regions = host_region_count;
}

static void fuzz_layout(void) {
  __u16 members[sizeof(struct binary_layout) / 2];
  __u32 index = 0;
  int wild = fuzz_random(4) == 0;
  for (unsigned i = 0; i < sizeof members / 2; i++) members[i] = wild ? fuzz_random(65536) : fuzz_random(40) * 8;
  bpf_map_update_elem(&layouts, &index, members, BPF_ANY);
}

static __u64 fuzz_requests, fuzz_fields; // that came

static void check_stream(const struct event_stream *e, __u64 size) {
  REQUIRE(size == sizeof *e + e->data_size);
  const __u8 *at = (const __u8 *)(e + 1), *end = at + e->data_size;
  fuzz_requests += e->header.kind == EVENT_STREAM_REQUEST;
  while (at < end) {
    fuzz_fields++;
    const struct stream_field *field = (const void *)at;
    REQUIRE(end - at >= (long)sizeof *field);
    __u8 kind = field->kind & ~FIELD_CUT;
    REQUIRE(kind <= FIELD_ROUTE && field->value_size <= FIELD_VALUE);
    at += sizeof *field + (kind == FIELD_CUSTOM ? field->name : 0) + field->value_size;
    REQUIRE(at <= end);
  }
}

static void check_stream_record(const __u8 *record, __u64 size) {
  const struct event_header *h = (const void *)record;
  const struct event_call *call = (const void *)record;
  REQUIRE(size >= sizeof *h);
  if (h->kind >= EVENT_STREAM_REQUEST && h->kind <= EVENT_STREAMS_CLOSED) {
    check_stream((const void *)record, size);
  } else if (h->kind == EVENT_CALL) {
    REQUIRE(size == sizeof *call + call->authority_size + call->path_size);
  } else {
    REQUIRE(h->kind == EVENT_CALL_END && size == sizeof(struct event_call_end));
  }
}

static void fuzz_world(void) {
  static const __u32 flags[] = {TARGET_STREAMS, TARGET_CLIENT_STREAMS, TARGET_STREAMS | TARGET_CLIENT_STREAMS};
  __u32 tgid = 1;
  struct target t = {.flags = flags[fuzz_random(3)] | TARGET_CALLS | TARGET_CONTEXTS | TARGET_ROUTES | TARGET_TASK_SLOT,
                     .task_id_offset = TLS_ID_OFFSET};
  reset_world();
  trace_process(tgid, &t);
  fuzz_memory();
  fuzz_layout();
}

static program *const FUZZ_PROGRAMS[] = {
    h2_recv_headers, h2_recv_trailers, h2_take_request, h2_send_headers, h2_send_trailers, h2_send_reset, h2_cancel,
    h2_recv_reset,   h2_closed,        h2_go_away,      tonic_call,      tonic_drop,       tokio_task_new,
    h2_recv_headers, h2_send_headers,
};

static void run_fuzz_streams(__u64 inputs, __u64 seed) {
  for (__u64 i = 0; i < inputs; i++) {
    fuzz_state = (seed + i) * 0x9e3779b97f4a7c15ULL;
    if (i % FUZZ_WORLD == 0) fuzz_world();
    run_thread(1, 1, 1 + fuzz_random(4));
    struct pt_regs regs = {.di = fuzz_pointer(), .si = fuzz_pointer(), .dx = fuzz_pointer()};
    regs.cx = fuzz_pointer();
    regs.r8 = fuzz_word();
    __u64 registers = fuzz_random(4) ? 2 | 1 << 4 : fuzz_random(256);
    run_program(FUZZ_PROGRAMS[fuzz_random(sizeof FUZZ_PROGRAMS / sizeof *FUZZ_PROGRAMS)],
                registers << COOKIE_REGISTER_SHIFT, &regs);
  }
  printf("%llu inputs, streams %s\n", inputs, fuzz_requests && fuzz_fields ? "seen" : "not seen");
}
