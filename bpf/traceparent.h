// traceparent as it is written: W3C trace context §3.2, version 00.
#pragma once

#define TRACEPARENT_VALUE 55
#define TRACEPARENT_LINE 70  // "traceparent: ", value, CRLF
#define TRACEPARENT_FIELD 69 // HPACK literal without a name of the table
#define FLAGS_SENT 3         // sampled, random: the others are reserved and sent as 0

// Four bytes as eight lower-case hex digits, in their order.
static __always_inline __u64 digits8(__u32 bytes) {
  __u64 t = bytes;
  t = (t | t << 16) & 0x0000ffff0000ffffULL;
  t = (t | t << 8) & 0x00ff00ff00ff00ffULL;
  t = (t >> 4 & 0x000f000f000f000fULL) | (t & 0x000f000f000f000fULL) << 8;
  __u64 letters = (t + EACH_BYTE(6)) >> 4 & EACH_BYTE(1);
  return t + EACH_BYTE('0') + letters * ('a' - '0' - 10);
}

// "00-" is before it and not written here: 52 bytes.
static __always_inline void put_ids(__u8 *at, const __u32 *ids, __u8 flags) {
  for (int i = 0; i < TRACE_ID_WORDS; i++) *(__u64 *)(at + 8 * i) = digits8(ids[i]);
  at[32] = '-';
  for (int i = 0; i < 2; i++) *(__u64 *)(at + 33 + 8 * i) = digits8(ids[TRACE_ID_WORDS + i]);
  at[49] = '-';
  at[50] = '0';
  at[51] = '0' + (flags & FLAGS_SENT);
}

// A header line of HTTP/1, TRACEPARENT_LINE bytes.
static __always_inline void put_line(__u8 *at, const __u32 *ids, __u8 flags) {
  *(__u64 *)at = WORD('t', 'r', 'a', 'c', 'e', 'p', 'a', 'r');
  *(__u64 *)(at + 8) = WORD('e', 'n', 't', ':', ' ', '0', '0', '-');
  put_ids(at + 16, ids, flags);
  at[68] = '\r';
  at[69] = '\n';
}

// A field of HTTP/2, TRACEPARENT_FIELD bytes: never indexed, so that no table changes (RFC 7541 §6.2.3).
static __always_inline void put_field(__u8 *at, const __u32 *ids, __u8 flags) {
  *(__u64 *)at = WORD(0x10, 11, 't', 'r', 'a', 'c', 'e', 'p');
  *(__u64 *)(at + 8) = WORD('a', 'r', 'e', 'n', 't', TRACEPARENT_VALUE, '0', '0');
  at[16] = '-';
  put_ids(at + 17, ids, flags);
}
