// Runs a script of system calls, probes and state changes through the kernel side compiled for the host.
//   replay                     script on stdin, a command a line; records and counters on stdout
//   replay --fuzz <n> <seed>   n random inputs, checked for what must always hold; --fuzz-streams: of HTTP/2;
//                              --fuzz-messages: of sk_msg
// Commands, numbers decimal, bytes in hex ("-" for none):
//   target <tgid> <flags> <layout> [<slot site>]   task ids lie at the offsets of world.h
//   thread <tgid> <tid> <task>
//   address <socket> <family> <local> <port> <peer> <port>
//   recv|send <socket> <call> <bytes> [moved=<n>] [flags=<n>]   call: plain, to, other, vector:<sizes>, message:<sizes>
//   message <socket> <call> <bytes> [pieces=<sizes>] [fail=<n>]   as sk_msg sees it; "m <bytes>" goes out
//   room <socket> <queued> <not sent> <lowat>
//   state <socket> <state> [errno]   close <socket>   exiting <0|1>
//   layout <index> <offsets, the rest is 0>   memory <address> <bytes>   show <address>   file <device> <inode> <flags> <layout>
//   parse <layout> <key> <bytes>   encode <layout> <key> <status>   route <layout> <id> <table>; <layout>: a cookie
//   probe <program> <cookie> <rdi> <rsi> <rdx> [<register>=<value>]
//   exec <device> <inode>   exit   panic
//   set <variable> <value>   reset   echo <text>
// Output: "e <bytes of a ring record>", "c <counters>" at each reset and at the end, and echoed lines.
#define _GNU_SOURCE
#include "world.h"
#include "fuzz.h"
#include "fuzz_streams.h"
#include "fuzz_messages.h"

static void (*on_record)(const __u8 *record, __u64 size);
static void host_record(const __u8 *record, __u64 size) { on_record(record, size); }

static void print_bytes(const char *before, const __u8 *record, __u64 size) {
  static const char digits[] = "0123456789abcdef";
  fputs(before, stdout);
  for (__u64 i = 0; i < size; i++) {
    putchar(digits[record[i] >> 4]);
    putchar(digits[record[i] & 15]);
  }
  putchar('\n');
}

static void print_record(const __u8 *record, __u64 size) { print_bytes("e ", record, size); }

static void ignore_record(const __u8 *record, __u64 size) {}

static void print_counters(void) {
  putchar('c');
  for (__u32 i = 0; i < COUNTER_MAX; i++) printf(" %llu", *(__u64 *)bpf_map_lookup_elem(&counters, &i));
  putchar('\n');
}

static int digit_of(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static char *word(void) {
  char *text = strtok(0, " \n");
  if (!text) fail("Cannot read a command: a word is missing");
  return text;
}

static __u64 number(void) { return strtoull(word(), 0, 10); }

static __u8 *bytes_of_word(__u32 *size) {
  char *text = word();
  __u32 n = *text == '-' ? 0 : strlen(text) / 2;
  __u8 *bytes = malloc(n ? n : 1);
  for (__u32 i = 0; i < n; i++) bytes[i] = digit_of(text[2 * i]) << 4 | digit_of(text[2 * i + 1]);
  *size = n;
  return bytes;
}

static void read_sizes(char *text, __u32 *sizes, int *count) {
  while (*text && *count < MAX_SEGMENTS) {
    sizes[(*count)++] = strtoul(text, &text, 10);
    if (*text == ',') text++;
  }
}

static enum call call_of(char *text, __u32 *pieces, int *count) {
  char *sizes = strchr(text, ':');
  if (sizes) {
    *sizes++ = 0;
    read_sizes(sizes, pieces, count);
  }
  if (!strcmp(text, "plain")) return CALL_PLAIN;
  if (!strcmp(text, "to")) return CALL_TO;
  if (!strcmp(text, "vector")) return CALL_VECTOR;
  if (!strcmp(text, "message")) return CALL_MESSAGE;
  if (!strcmp(text, "other")) return CALL_OTHER;
  fail("Cannot make a system call %s", text);
}

static void transfer_command(int write) {
  static __u32 pieces[MAX_SEGMENTS];
  struct transfer_call call = {.write = write, .pieces = pieces};
  call.socket = number();
  call.how = call_of(word(), pieces, &call.piece_count);
  __u8 *bytes = bytes_of_word(&call.size);
  call.bytes = bytes;
  call.moved = call.size;
  for (char *option; (option = strtok(0, " \n"));) {
    if (!strncmp(option, "moved=", 6)) call.moved = atoi(option + 6);
    else if (!strncmp(option, "flags=", 6)) call.flags = atoi(option + 6);
    else fail("Cannot read option %s", option);
  }
  run_transfer(&call);
  free(bytes);
}

static void message_command(void) {
  static __u32 pieces[MAX_SEGMENTS];
  struct transfer_call call = {.write = 1, .pieces = pieces};
  int ignored = 0;
  call.socket = number();
  call.how = call_of(word(), pieces, &ignored);
  __u8 *bytes = bytes_of_word(&call.size);
  call.bytes = bytes;
  host_helper_failure = 0;
  for (char *option; (option = strtok(0, " \n"));) {
    if (!strncmp(option, "fail=", 5)) host_helper_failure = atoi(option + 5);
    else if (!strncmp(option, "pieces=", 7)) read_sizes(option + 7, pieces, &call.piece_count);
    else fail("Cannot read option %s", option);
  }
  __u32 size = 0;
  __u8 *sent = run_message(&call, &size);
  print_bytes("m ", sent, size);
  free(sent);
  free(bytes);
}

static void room_command(void) {
  struct tcp_sock *t = (struct tcp_sock *)socket_of(number());
  t->inet_conn.icsk_inet.sk.sk_wmem_queued = number();
  t->write_seq = t->snd_nxt + (__u32)number();
  t->notsent_lowat = number();
}

static void address_command(void) {
  struct sock_common *c = &socket_of(number())->__sk_common;
  __u32 size = 0;
  c->skc_family = number();
  for (int i = 0; i < 2; i++) {
    __u8 *bytes = bytes_of_word(&size);
    if (size == 16) memcpy(i ? &c->skc_v6_daddr : &c->skc_v6_rcv_saddr, bytes, 16);
    if (size == 4) memcpy(i ? &c->skc_daddr : &c->skc_rcv_saddr, bytes, 4);
    free(bytes);
    __u16 port = number();
    if (i) c->skc_dport = __builtin_bswap16(port);
    else c->skc_num = port;
  }
}

static struct target target_of_words(void) {
  struct target t = {.task_tag_offset = TLS_TAG_OFFSET, .task_id_offset = TLS_ID_OFFSET};
  t.flags = number();
  t.layout = number();
  char *site = strtok(0, " \n");
  t.slot_site = site ? strtoul(site, 0, 10) : 0;
  return t;
}

static void target_command(void) {
  __u32 tgid = number();
  struct target t = target_of_words();
  trace_process(tgid, &t);
}

static void file_command(void) {
  struct file_key key = {.device = number()};
  key.inode = number();
  struct target t = target_of_words();
  bpf_map_update_elem(&files, &key, &t, BPF_ANY);
}

static void layout_command(void) {
  __u32 index = number();
  __u16 fields[sizeof(struct binary_layout) / 2] = {0};
  char *field = word();
  for (unsigned i = 0; i < sizeof fields / 2 && field; i++, field = strtok(0, " \n")) fields[i] = atoi(field);
  bpf_map_update_elem(&layouts, &index, fields, BPF_ANY);
  memcpy(bpf_map_lookup_elem(&layouts, &index), fields, sizeof fields);
}

static void show_command(void) {
  __u64 address = number();
  struct region *known = host_region_at(address);
  if (!known) fail("Cannot show %llx: nothing is there", (unsigned long long)address);
  print_bytes("m ", known->bytes, known->size);
}

static void memory_command(void) {
  __u64 address = number();
  __u32 size = 0;
  __u8 *bytes = bytes_of_word(&size);
  struct region *known = host_region_at(address);
  if (known) {
    free(known->bytes);
    known->bytes = bytes;
    known->size = size;
    return;
  }
  host_map_at(address, bytes, size);
  lasting_regions = host_region_count;
  free(bytes);
}

static void parse_command(void) {
  __u32 cookie = number(), size = 0;
  __u64 key = number();
  __u8 *bytes = bytes_of_word(&size);
  run_parse(cookie, key, bytes, size);
  free(bytes);
}

static void set_register(struct pt_regs *regs, char *text) {
  char *value = strchr(text, '=');
  if (!value) fail("Cannot set register %s: no value", text);
  *value++ = 0;
#define SET_REGISTER(name)                                                                                 \
  if (!strcmp(text, #name)) {                                                                              \
    regs->name = strtoull(value, 0, 10);                                                                   \
    return;                                                                                                \
  }
  SET_REGISTER(ax)
  SET_REGISTER(cx)
  SET_REGISTER(bx)
  SET_REGISTER(sp)
  SET_REGISTER(bp)
  SET_REGISTER(r8)
  SET_REGISTER(r9)
  SET_REGISTER(r10)
  SET_REGISTER(r11)
  SET_REGISTER(r12)
  SET_REGISTER(r13)
  SET_REGISTER(r14)
  SET_REGISTER(r15)
  fail("Cannot set register %s", text);
}

static program *program_named(const char *name) {
#define PROGRAM(function)                                                                                  \
  if (!strcmp(name, #function)) return function;
  PROGRAM(axum_set_matched_path_at)
  PROGRAM(hyper_server_parse)
  PROGRAM(hyper_server_parse_at)
  PROGRAM(hyper_server_write_head)
  PROGRAM(tokio_task_new)
  PROGRAM(hyper_client_call)
  PROGRAM(hyper_client_call_at)
  PROGRAM(hyper_client_send)
  PROGRAM(hyper_client_encode)
  PROGRAM(hyper_client_write_head)
  PROGRAM(hyper_client_encoded)
  PROGRAM(hyper_client_parse)
  PROGRAM(hyper_client_parse_at)
  PROGRAM(hyper_client_drop)
  PROGRAM(reqwest_error)
  PROGRAM(reqwest_blocking_call)
  PROGRAM(reqwest_execute)
  PROGRAM(h2_recv_headers)
  PROGRAM(h2_recv_trailers)
  PROGRAM(h2_take_request)
  PROGRAM(h2_send_headers)
  PROGRAM(h2_send_trailers)
  PROGRAM(h2_send_reset)
  PROGRAM(h2_cancel)
  PROGRAM(h2_recv_reset)
  PROGRAM(h2_closed)
  PROGRAM(h2_go_away)
  PROGRAM(tonic_call)
  PROGRAM(tonic_drop)
  fail("Cannot run program %s", name);
}

static void probe_command(void) {
  program *run = program_named(word());
  __u64 cookie = number();
  struct pt_regs regs = {.di = number()};
  regs.si = number();
  regs.dx = number();
  for (char *option; (option = strtok(0, " \n"));) set_register(&regs, option);
  run_program(run, cookie, &regs);
}

static void exec_command(void) {
  struct super_block super = {.s_dev = number()};
  struct inode inode = {.i_sb = &super, .i_ino = number()};
  struct file file = {.f_inode = &inode};
  struct linux_binprm program = {.file = &file};
  for (int i = 0; i < HOST_THREADS; i++) // of the process; the kernel ends the other threads
    if (host_threads[i].tgid == host_task->tgid) host_threads[i].self_exec_id++;
  process_exec(host_task, host_task->pid, &program);
}

static void set_command(void) {
  const char *name = word();
  __u64 value = number();
#define SETTABLE(variable)                                                                                 \
  if (!strcmp(name, #variable)) {                                                                          \
    variable = value;                                                                                      \
    return;                                                                                                \
  }
  SETTABLE(sampler_root)
  SETTABLE(sampler_parent_sampled)
  SETTABLE(sampler_parent_unsampled)
  SETTABLE(sampler_ratio)
  SETTABLE(extract_traceparent)
  SETTABLE(extract_b3)
  SETTABLE(pass_tracestate)
  SETTABLE(capture_response_heads)
  SETTABLE(capture_client_heads)
  SETTABLE(host_failing_write)
  SETTABLE(host_ring_room)
  SETTABLE(host_map_limit)
  SETTABLE(host_loop_limit)
  SETTABLE(host_clock)
  fail("Cannot set %s", name);
}

static void run_command(const char *name) {
  if (!strcmp(name, "recv") || !strcmp(name, "send")) transfer_command(*name == 's');
  else if (!strcmp(name, "message")) message_command();
  else if (!strcmp(name, "room")) room_command();
  else if (!strcmp(name, "target")) target_command();
  else if (!strcmp(name, "address")) address_command();
  else if (!strcmp(name, "layout")) layout_command();
  else if (!strcmp(name, "memory")) memory_command();
  else if (!strcmp(name, "show")) show_command();
  else if (!strcmp(name, "file")) file_command();
  else if (!strcmp(name, "exec")) exec_command();
  else if (!strcmp(name, "parse")) parse_command();
  else if (!strcmp(name, "probe")) probe_command();
  else if (!strcmp(name, "set")) set_command();
  else if (!strcmp(name, "exit")) process_exit(host_task);
  else if (!strcmp(name, "panic")) run_probe(rust_panic, 0, 0, 0, 0);
  else if (!strcmp(name, "exiting")) host_task->flags = number() ? PF_EXITING : 0;
  else if (!strcmp(name, "echo")) puts(word());
  else if (!strcmp(name, "close")) free_socket(number());
  else if (!strcmp(name, "thread")) {
    __u32 tgid = number(), tid = number();
    run_thread(tgid, tid, number());
  } else if (!strcmp(name, "state")) {
    unsigned socket = number();
    int state = number();
    char *error = strtok(0, " \n");
    run_state(socket, state, error ? atoi(error) : 0);
  } else if (!strcmp(name, "encode")) {
    __u32 layout = number();
    __u64 key = number();
    run_encode(layout, key, number());
  } else if (!strcmp(name, "route")) {
    __u64 layout = number(), id = number();
    run_probe(axum_set_matched_path, layout, id, number(), 0);
  } else if (!strcmp(name, "reset")) {
    print_counters();
    reset_world();
  } else {
    fail("Cannot run command %s", name);
  }
}

static void run_script(void) {
  char *line = 0;
  size_t room = 0;
  on_record = print_record;
  while (getline(&line, &room, stdin) > 0) {
    char *name = strtok(line, " \n");
    if (name && *name != '#') run_command(name);
  }
  print_counters();
  free(line);
}

int main(int count, char **arguments) {
  reset_world();
  if (count == 4 && !strcmp(arguments[1], "--fuzz")) {
    on_record = check_record;
    run_fuzz(strtoull(arguments[2], 0, 10), strtoull(arguments[3], 0, 10));
    return 0;
  }
  if (count == 4 && !strcmp(arguments[1], "--fuzz-streams")) {
    on_record = check_stream_record;
    run_fuzz_streams(strtoull(arguments[2], 0, 10), strtoull(arguments[3], 0, 10));
    return 0;
  }
  if (count == 4 && !strcmp(arguments[1], "--fuzz-messages")) {
    on_record = ignore_record;
    run_fuzz_messages(strtoull(arguments[2], 0, 10), strtoull(arguments[3], 0, 10));
    return 0;
  }
  if (count > 1) fail("Usage: replay [--fuzz|--fuzz-streams|--fuzz-messages <n> <seed>]");
  run_script();
  return 0;
}
