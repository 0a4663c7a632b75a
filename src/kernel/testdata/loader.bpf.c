// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// What the loader must understand, one feature a program. Built by scripts/build-bpf.mjs.
#include "vmlinux_min.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

const volatile u32 watched_tgid = 0;
const volatile u64 wide = 1;
const volatile u8 flag = 0;
u64 counted = 5;  // .data
u64 hits;         // .bss

struct value {
	u64 first;
	u64 second;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, struct value);
} by_key SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 64);
	__uint(key_size, 8);
	__uint(value_size, 8);
} recent SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, u32);
	__type(value, u64);
} results SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct value);
} per_task SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct value);
} per_socket SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 4);
} tails SEC(".maps");

struct event_hit {
	u64 cookie;
	u32 tgid;
	u32 argument;
	u64 fsbase;
};

static __noinline void put(u32 index, u64 value)
{
	bpf_map_update_elem(&results, &index, &value, BPF_ANY);
}

static __noinline int hit(void *ctx, u32 argument)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct event_hit *event = bpf_ringbuf_reserve(&ring, sizeof *event, 0);
	if (!event)
		return 0;
	event->cookie = bpf_get_attach_cookie(ctx);
	event->tgid = bpf_get_current_pid_tgid() >> 32;
	event->argument = argument;
	event->fsbase = BPF_CORE_READ(task, thread.fsbase);
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	return 0;
}

// Static subprogram, kernel functions, .bss, .rodata.
SEC("uprobe.multi") int on_call(struct pt_regs *ctx)
{
	bpf_preempt_disable();
	if (!watched_tgid || bpf_get_current_pid_tgid() >> 32 == watched_tgid) {
		__sync_fetch_and_add(&hits, 1);
		hit(ctx, ctx->di);
	}
	bpf_preempt_enable();
	return 0;
}

// A second program in the same section; tail call into an empty table falls through.
SEC("uprobe.multi") int on_call_tail(struct pt_regs *ctx)
{
	bpf_tail_call(ctx, &tails, 1);
	return hit(ctx, ctx->di + 1000);
}

struct sum {
	u64 total;
};

static long add(u32 index, struct sum *sum)
{
	sum->total += index;
	return 0;
}

extern void kernel_function_that_is_nowhere(void) __weak_ksym;

struct task_struct___new {
	u64 member_that_is_nowhere;
} __attribute__((preserve_access_index));

enum bpf_map_type___other {
	BPF_MAP_TYPE_RINGBUF___other = 999,
};

// bpf_loop with a callback, storage of the task, constants, CO-RE questions, a missing weak kernel function.
SEC("tp_btf/sched_process_exec") int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	struct sum sum = {};
	struct value *value = bpf_task_storage_get(&per_task, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (value)
		value->first = 7;
	bpf_loop(10, add, &sum, 0);
	put(0, sum.total);
	put(1, wide + counted + flag);
	put(2, bprm->file->f_inode->i_ino);
	put(3, task->tgid);
	kernel_function_that_is_nowhere();
	if (bpf_core_field_exists(((struct task_struct___new *)task)->member_that_is_nowhere))
		put(4, ((struct task_struct___new *)task)->member_that_is_nowhere);
	else
		put(4, 44);
	put(5, bpf_core_enum_value(enum bpf_map_type___other, BPF_MAP_TYPE_RINGBUF___other));
	put(6, bpf_core_type_size(struct iovec) + bpf_core_type_exists(struct task_struct___new));
	put(7, bpf_core_field_size(task->thread.fsbase) + (kernel_function_that_is_nowhere ? 100 : 0));
	u32 zero = 0;
	u64 *count = bpf_map_lookup_elem(&per_cpu, &zero);
	if (count)
		*count += 1;
	return 0;
}

SEC("tp_btf/inet_sock_set_state") int BPF_PROG(on_state, struct sock *sk, int old_state, int new_state)
{
	struct value *value = bpf_sk_storage_get(&per_socket, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (value)
		value->second += sk->__sk_common.skc_family;
	return 0;
}

// Must not load: reaches a member that no kernel has.
SEC("tp_btf/sched_process_exit") int BPF_PROG(needs_missing_member, struct task_struct *task)
{
	put(4, ((struct task_struct___new *)task)->member_that_is_nowhere);
	return 0;
}

// Must not load: pointer arithmetic the verifier can't bound.
SEC("tp_btf/sched_process_exit") int BPF_PROG(out_of_bounds, struct task_struct *task)
{
	u32 zero = 0;
	u64 *count = bpf_map_lookup_elem(&per_cpu, &zero);
	if (count)
		put(0, count[task->tgid]);
	return 0;
}

// Must not load: no such tracepoint.
SEC("tp_btf/tracepoint_that_is_nowhere") int BPF_PROG(no_tracepoint, struct task_struct *task)
{
	return 0;
}

// As many records as the ring takes, for the reader's measurements; sizes vary, every 16th is discarded.
SEC("uprobe.multi") int fill(struct pt_regs *ctx)
{
	for (u32 index = 0; index < 1000; index++) {
		u64 *record = bpf_ringbuf_reserve(&ring, 40, 0);
		if (!record)
			return 0;
		record[0] = index;
		record[1] = __sync_fetch_and_add(&hits, 1);
		if (index % 16 == 15)
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		else
			bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	}
	return 0;
}
