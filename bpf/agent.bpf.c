#include "vmlinux_min.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "events.h"
#include "scan.h"
#include "maps.h"
#include "task.h"
#include "emit.h"
#include "context.h"
#include "call.h"
#include "framing.h"
#include "http1.h"
#include "socket.bpf.h"
#include "hyper.bpf.h"
#include "axum.bpf.h"
#include "client.bpf.h"
#include "h2.bpf.h"
#include "process.bpf.h"

char LICENSE[] SEC("license") = "GPL";
