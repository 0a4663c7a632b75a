// Fake user memory: regions at made-up addresses, with unmapped space between any two.
#pragma once

#define MAX_REGIONS 2048

struct region {
  __u64 base;
  __u64 size;
  __u8 *bytes;
};

static struct region host_regions[MAX_REGIONS];
static int host_region_count;
static __u64 host_next_address;

// Takes a copy in a block of exactly that size: the sanitizer sees a read behind its end.
static __u64 host_map_at(__u64 base, const void *bytes, __u64 size) {
  if (host_region_count == MAX_REGIONS) fail("Cannot map more than %d regions", MAX_REGIONS);
  struct region *r = &host_regions[host_region_count++];
  r->base = base;
  r->size = size;
  r->bytes = malloc(size ? size : 1);
  memcpy(r->bytes, bytes, size);
  return base;
}

static struct region *host_region_at(__u64 base) {
  for (int i = 0; i < host_region_count; i++)
    if (host_regions[i].base == base) return &host_regions[i];
  return 0;
}

static __u64 host_map_user(const void *bytes, __u64 size) {
  __u64 base = host_next_address;
  host_next_address += (size + 0x1fff) & ~0xfffULL; // at least a page stays unmapped
  return host_map_at(base + 0xe38, bytes, size);
}

static void host_unmap_from(int first) {
  while (host_region_count > first) free(host_regions[--host_region_count].bytes);
}

// Like the kernel: all or nothing, and zeros on failure.
static long bpf_probe_read_user(void *to, __u32 size, const void *from) {
  __u64 at = (__u64)from;
  if (!size) return 0;
  for (int i = host_region_count - 1; i >= 0; i--) {
    struct region *r = &host_regions[i];
    if (at < r->base || at - r->base > r->size || size > r->size - (at - r->base)) continue;
    memcpy(to, r->bytes + (at - r->base), size);
    return 0;
  }
  memset(to, 0, size);
  return -14;
}

static __u32 host_failing_write; // this one from now on fails, counted from 1

// Like the kernel: what is in front of a page that is not there stays written.
static long bpf_probe_write_user(void *to, const void *from, __u32 size) {
  __u64 at = (__u64)to;
  if (host_failing_write && !--host_failing_write) return -14;
  for (int i = host_region_count - 1; i >= 0; i--) {
    struct region *r = &host_regions[i];
    if (at < r->base || at - r->base >= r->size) continue;
    __u64 room = r->size - (at - r->base);
    memcpy(r->bytes + (at - r->base), from, size < room ? size : room);
    return size <= room ? 0 : -14;
  }
  return -14;
}

static long bpf_probe_read_kernel(void *to, __u32 size, const void *from) {
  memcpy(to, from, size);
  return 0;
}
