// Whether what a probe shows looks as it must: docs/design/0015-self-check.md. A hit that does not is dropped, and so
// are all others of a site that has been wrong and not often enough right; user space hears of it and takes the probe
// away.
#pragma once

static __always_inline struct site_check *check_of(__u32 number) {
  return number ? bpf_map_lookup_elem(&sites, &number) : 0;
}

static __always_inline __u32 site_at(__u64 cookie) { return cookie >> COOKIE_SITE_SHIFT & 0xffff; }

static __always_inline __u32 site_of(struct pt_regs *ctx) { return site_at(attach_cookie(ctx)); }

static __always_inline int is_believed(const struct site_check *c) {
  return !c || !c->wrong || c->score >= CHECK_TRUSTED;
}

// Not since its task slot has shown what it must not: then nobody knows whose context a task has.
static __always_inline int is_slot_believed(const struct target *target) {
  return is_believed(check_of(target->slot_site));
}

static __always_inline void looked_right(struct site_check *c) {
  if (c && c->score < CHECK_PROVEN) c->score++;
}

int leave_aside(struct site_check *c);

// A hit whose data look as they must. 0 when the site's are not to be used all the same. Most sites are proven.
static __always_inline int trusted(struct site_check *c) {
  return !c || c->score >= CHECK_PROVEN || leave_aside(c) == 0;
}

// A hit that no right site has: `value` is what is wrong with it, and at `address` is what shows it (0: nothing). Walked
// once by the verifier, as what follows it.
int distrust(__u32 site, __u32 doubt, __u64 value, __u64 address);
// One whose bytes the peer may have chosen.
int find_odd(__u32 site, __u64 value, __u64 address);
int miss_answer(__u32 site);

// Where the library's calls are not found again when they are written, a request without one may be such a call: then it
// is nobody's, whatever its task works for. So it is while the task is in doubt.
static __always_inline __u32 sure_flags(const struct target *target) {
  __u32 calls = target->calls, links = target->links;
  int linked = (!calls || (links && calls <= 2 * links + CHECK_CALLS)) && is_slot_believed(target);
  return linked ? target->flags : target->flags & ~TARGET_WRITER_CONTEXT;
}

// ---- what values must be ----

#define LOWEST_ADDRESS 0x10000 // vm.mmap_min_addr
#define USER_END (1ULL << 47)
#define LARGEST_TASK (1ULL << 44) // 5 years of 100,000 tasks a second; the pointers of PIE programs are above
#define LARGEST_URI 0xffff        // http: u16
#define LARGEST_MAP 0x8000        // http: entries of a HeaderMap
#define LARGEST_BUFFER (1ULL << 30)
#define LAST_METHOD 12 // tags of Option<http::Method>, http 1.5
#define NO_ENTRIES 8   // pointer of an empty Vec: its alignment

static __always_inline int is_address(__u64 value) { return value - LOWEST_ADDRESS < USER_END - LOWEST_ADDRESS; }

// Of a structure with words in it.
static __always_inline int is_pointer(__u64 value) { return is_address(value) && !(value & 7); }

// … that is there: looked at while the site is new.
static __always_inline int points(const struct site_check *c, __u64 value) {
  __u64 word;
  return is_pointer(value) && (!c || c->score >= CHECK_PROVEN || !bpf_probe_read_user(&word, 8, (void *)value));
}

// A text's, or none: then the pointer is anything.
static __always_inline int is_text(__u64 pointer, __u64 size) {
  return size <= LARGEST_URI && (!size || is_address(pointer));
}

static __always_inline int is_entries(__u64 pointer, __u64 length) {
  return length <= LARGEST_MAP && (is_pointer(pointer) || (pointer == NO_ENTRIES && !length));
}

static __always_inline int is_status(__u16 status) { return status >= 100 && status <= 999; }

// http: a path begins with `/`, is `*`, or is only a query.
static __always_inline int begins_path(__u8 first) { return first == '/' || first == '*' || first == '?'; }

// RFC 9110 §5.6.2, in lower case as the http crate keeps it.
static __always_inline int begins_name(__u8 first) {
  return first > ' ' && first < 0x7f && !(first >= 'A' && first <= 'Z') && first != ':';
}
