// What bpf/*.h take from libbpf's headers and from the kernel, for a program that runs on the host. A helper
// does what bpf-helpers(7) says; "user memory" is what the driver has mapped, at addresses that are no
// addresses of this process.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEC(name)
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#undef __noinline
#define __noinline __attribute__((noinline))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) __typeof__(value) *name
#define BPF_PROG(name, ...) name(__VA_ARGS__)

#define fail(...)                                                                                          \
  do {                                                                                                     \
    fprintf(stderr, __VA_ARGS__);                                                                          \
    fputc('\n', stderr);                                                                                   \
    abort();                                                                                               \
  } while (0)

#include "memory.h"
#include "host_maps.h"
#include "messages.h"

// ---- the thread that runs ----

#define HOST_THREADS 64

static struct task_struct host_threads[HOST_THREADS];
static struct task_struct *host_task = host_threads;
static struct pt_regs host_regs; // of its system call
static __u64 host_clock, host_random, host_cookie;
static __u32 host_loop_limit;
static int host_preempt_depth;

#define CLOCK_STEP_NS 1000

static __u64 bpf_ktime_get_ns(void) { return host_clock += CLOCK_STEP_NS; }
static struct task_struct *bpf_get_current_task_btf(void) { return host_task; }
static long bpf_task_pt_regs(struct task_struct *task) { return task == host_task ? (long)&host_regs : 0; }
static __u32 bpf_get_smp_processor_id(void) { return 0; }
#define bpf_get_attach_cookie(context) ((void)(context), host_cookie)

// xorshift64*: the same numbers in every run.
static __u32 bpf_get_prandom_u32(void) {
  host_random ^= host_random >> 12;
  host_random ^= host_random << 25;
  host_random ^= host_random >> 27;
  return host_random * 0x2545f4914f6cdd1dULL >> 32;
}

void bpf_preempt_disable(void) { host_preempt_depth++; }
void bpf_preempt_enable(void) {
  if (--host_preempt_depth < 0) fail("bpf_preempt_enable without bpf_preempt_disable");
}

// A loop calls its function by name, so that no function is called through a pointer of another type.
#define bpf_loop(steps, function, context, flags)                                                          \
  ({                                                                                                       \
    __u32 loop_index = 0;                                                                                  \
    while (loop_index < (steps) && loop_index < host_loop_limit && !(function)(loop_index, context)) loop_index++;                         \
    (long)loop_index;                                                                                      \
  })

// ---- the ring ----

static __u64 host_ring_room; // bytes that still fit
static void host_record(const __u8 *record, __u64 size);

static long host_ring_output(const void *record, __u64 size) {
  if (size > host_ring_room) return -11;
  host_ring_room -= size;
  host_record(record, size);
  return 0;
}
#define bpf_ringbuf_output(map, record, size, flags) ((void)(map), host_ring_output(record, size))
