// axum::extract::matched_path::set_matched_path_for_request(RouteId edi, &HashMap<RouteId, Arc<str>> rsi, …):
// called once for each router a request passes, outermost first.
#pragma once

static __always_inline int axum_route(struct pt_regs *ctx) {
  __u32 tgid;
  struct target *target = current_target(&tgid);
  if (!target || !(target->flags & TARGET_ROUTES)) return 0;
  struct task_key key = {.task = current_task_id(target), .tgid = tgid};
  if (!key.task) return 0;
  struct task_connection *t = bpf_map_lookup_elem(&tasks, &key);
  if (!t || t->open <= 0) {
    count(COUNTER_ROUTE_UNKNOWN);
    return 0;
  }
  __u32 n = t->routes.count;
  if (n >= MAX_ROUTES) {
    t->shared = 1; // more levels than there is room for: no template is better than a part of one
    return 0;
  }
  t->routes.table[n] = ctx->si;
  t->routes.id[n] = ctx->di;
  t->routes.count = n + 1;
  return 0;
}

SEC("uprobe.multi")
int axum_set_matched_path(struct pt_regs *ctx) {
  guard_begin();
  axum_route(ctx);
  guard_end();
  return 0;
}
