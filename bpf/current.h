// What the running thread and this hit are, as helpers of the kernel that give the same answer each time a program asks.
// The compiler knows nothing of that and calls the ones libbpf declares anew each time, 5 to 10 ns where the kernel
// guards its returns; written as assembly without side effects, it calls them once.
#pragma once

#ifdef __bpf__
// Numbers of include/uapi/linux/bpf.h.
#define GET_CURRENT_TASK_BTF 158
#define GET_ATTACH_COOKIE 174

static __always_inline struct task_struct *current_thread(void) {
  register struct task_struct *result __asm__("r0");
  __asm__("call %1" : "=r"(result) : "i"(GET_CURRENT_TASK_BTF) : "r1", "r2", "r3", "r4", "r5");
  return result;
}

static __always_inline __u64 attach_cookie(struct pt_regs *ctx) {
  register __u64 result __asm__("r0");
  register struct pt_regs *context __asm__("r1") = ctx;
  __asm__("call %2" : "=r"(result), "+r"(context) : "i"(GET_ATTACH_COOKIE) : "r2", "r3", "r4", "r5");
  return result;
}
#else
static __always_inline struct task_struct *current_thread(void) { return bpf_get_current_task_btf(); }
static __always_inline __u64 attach_cookie(struct pt_regs *ctx) { return bpf_get_attach_cookie(ctx); }
#endif

// Process and thread, as bpf_get_current_pid_tgid() gives them.
static __always_inline __u64 current_ids(void) {
  struct task_struct *thread = current_thread();
  return (__u64)(__u32)thread->tgid << 32 | (__u32)thread->pid;
}
