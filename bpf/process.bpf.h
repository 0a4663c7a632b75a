// Programs that start and end, and panics.
#pragma once

// A known file is traced from its first instruction; any other is for user space to look at.
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *process, int old_pid, struct linux_binprm *program) {
  __u32 tgid = current_ids() >> 32;
  struct file_key key = {};
  struct inode *inode = program->file->f_inode;
  key.device = inode->i_sb->s_dev;
  key.inode = inode->i_ino;
  struct target *known = bpf_map_lookup_elem(&files, &key);
  if (known) {
    struct target copy = *known;
    trace_process(tgid, &copy);
  } else {
    untrace_process(tgid);
  }
  emit_process(EVENT_EXEC, 0, 0);
  return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *process) {
  __u64 pid_tgid = current_ids();
  __u32 tgid = pid_tgid >> 32;
  if (tgid != (__u32)pid_tgid || !find_target(tgid)) return 0;
  emit_process(EVENT_EXIT, 0, 0);
  return 0;
}

SEC("uprobe.multi")
int rust_panic(struct pt_regs *ctx) {
  __u64 process;
  guard_begin();
  struct target *target = current_target(&process);
  if (target) emit_process(EVENT_PANIC, current_task_id(target), 0);
  guard_end();
  return 0;
}
