// A message of sk_msg: pieces in blocks of exactly their size, of which the program sees one at a time, and the
// helpers that move what it sees, as bpf-helpers(7) says. Fresh room holds garbage.
#pragma once

#define MESSAGE_PIECES 64
#define MESSAGE_GARBAGE 0xa5

static struct {
  struct sk_msg_md md;
  __u8 *bytes[MESSAGE_PIECES];
  __u32 sizes[MESSAGE_PIECES];
  int count;
} host_message;

static __u32 host_helper_calls, host_helper_failure; // the call that fails, counted from 1; 0: none

static int host_helper_fails(void) { return ++host_helper_calls == host_helper_failure; }

static void host_show_piece(int index, __u32 offset) {
  host_message.md.data = host_message.bytes[index] + offset;
  host_message.md.data_end = host_message.bytes[index] + host_message.sizes[index];
}

static void host_insert_piece(int index, const __u8 *bytes, __u32 size) {
  if (host_message.count == MESSAGE_PIECES) fail("Cannot hold more than %d pieces", MESSAGE_PIECES);
  for (int i = host_message.count++; i > index; i--) {
    host_message.bytes[i] = host_message.bytes[i - 1];
    host_message.sizes[i] = host_message.sizes[i - 1];
  }
  host_message.bytes[index] = malloc(size ? size : 1);
  host_message.sizes[index] = size;
  if (bytes) memcpy(host_message.bytes[index], bytes, size);
  else memset(host_message.bytes[index], MESSAGE_GARBAGE, size);
}

static void host_remove_piece(int index) {
  free(host_message.bytes[index]);
  for (int i = index; i + 1 < host_message.count; i++) {
    host_message.bytes[i] = host_message.bytes[i + 1];
    host_message.sizes[i] = host_message.sizes[i + 1];
  }
  host_message.count--;
}

// The piece that holds this byte; its number, and where it begins.
static int host_piece_at(__u32 at, __u32 *start) {
  *start = 0;
  for (int i = 0; i < host_message.count; i++) {
    if (at < *start + host_message.sizes[i]) return i;
    *start += host_message.sizes[i];
  }
  return -1;
}

static long bpf_msg_pull_data(struct sk_msg_md *m, __u32 from, __u32 to, __u64 flags) {
  __u32 start, size = 0;
  int first = host_piece_at(from, &start), last = first;
  if (first < 0 || to <= from || host_helper_fails()) return -22;
  while (start + size < to && last < host_message.count) size += host_message.sizes[last++];
  if (start + size < to) return -22;
  if (last > first + 1) {
    __u8 *joined = malloc(size), *at = joined;
    for (int i = first; i < last; i++) {
      memcpy(at, host_message.bytes[i], host_message.sizes[i]);
      at += host_message.sizes[i];
    }
    while (--last > first) host_remove_piece(first + 1);
    free(host_message.bytes[first]);
    host_message.bytes[first] = joined;
    host_message.sizes[first] = size;
  }
  host_show_piece(first, from - start);
  m->data_end = (__u8 *)m->data + (to - from);
  return 0;
}

// Kernels before the repair place what follows wrongly when the room is in a piece behind the first.
static long bpf_msg_push_data(struct sk_msg_md *m, __u32 at, __u32 size, __u64 flags) {
  __u32 start = 0;
  int index = at == m->size ? host_message.count : host_piece_at(at, &start);
  if (index < 0) return -22;
  if (index > 0 && index < host_message.count && at != start) fail("Room is made inside piece %d", index);
  if (host_helper_fails()) return -12;
  if (index < host_message.count && at != start) {
    __u32 rest = start + host_message.sizes[index] - at;
    host_insert_piece(index + 1, host_message.bytes[index] + (at - start), rest);
    __u8 *head = malloc(at - start);
    memcpy(head, host_message.bytes[index], at - start);
    free(host_message.bytes[index]);
    host_message.bytes[index] = head;
    host_message.sizes[index++] = at - start;
  }
  host_insert_piece(index, 0, size);
  m->size += size;
  host_show_piece(0, 0);
  return 0;
}

static long bpf_msg_pop_data(struct sk_msg_md *m, __u32 at, __u32 size, __u64 flags) {
  __u32 start;
  int index = host_piece_at(at, &start);
  if (index < 0 || at != start || size != host_message.sizes[index]) return -22; // of what was pushed before
  host_remove_piece(index);
  m->size -= size;
  host_show_piece(0, 0);
  return 0;
}

static long bpf_sock_hash_update(struct bpf_sock_ops *o, void *map, void *key, __u64 flags) { return 0; }
static struct tcp_sock *bpf_skc_to_tcp_sock(struct bpf_sock *socket) { return (struct tcp_sock *)socket; }
#define bpf_get_socket_cookie(context) ((void)(context), 1ULL)

// `sizes` of the first pieces; the last one takes what is left. Gives the message as it goes out.
static __u8 *host_send_message(struct bpf_sock *socket, int (*run)(struct sk_msg_md *), const __u8 *bytes, __u32 size,
                               const __u32 *sizes, int count) {
  __u32 at = 0;
  host_message.count = 0;
  for (int i = 0; i < count && at < size; i++) {
    __u32 piece = sizes[i] < size - at ? sizes[i] : size - at;
    if (piece) host_insert_piece(host_message.count, bytes + at, piece);
    at += piece;
  }
  if (at < size) host_insert_piece(host_message.count, bytes + at, size - at);
  host_message.md = (struct sk_msg_md){.size = size, .sk = socket};
  if (size) host_show_piece(0, 0);
  host_helper_calls = 0;
  if (run(&host_message.md) != SK_PASS) fail("A message was not let pass");
  __u8 *sent = malloc(host_message.md.size + 1);
  at = 0;
  while (host_message.count) {
    memcpy(sent + at, host_message.bytes[0], host_message.sizes[0]);
    at += host_message.sizes[0];
    host_remove_piece(0);
  }
  if (at != host_message.md.size) fail("A message of %u bytes has %u", host_message.md.size, at);
  return sent;
}
