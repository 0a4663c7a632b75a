// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// No program: its BTF holds every type of events.h, for scripts/generate-events.mjs.
#include "vmlinux_min.h"
#include "events.h"

#define KEEP_STRUCT(name) struct name struct_##name
#define KEEP_ENUM(name) enum name enum_##name

KEEP_STRUCT(event_header);
KEEP_STRUCT(event_request);
KEEP_STRUCT(event_response);
KEEP_STRUCT(event_call);
KEEP_STRUCT(event_client_response);
KEEP_STRUCT(event_call_end);
KEEP_STRUCT(event_stream);
KEEP_STRUCT(stream_field);
KEEP_STRUCT(event_process);
KEEP_STRUCT(event_check);
KEEP_STRUCT(target);
KEEP_STRUCT(site_check);
KEEP_STRUCT(file_key);
KEEP_STRUCT(binary_layout);
KEEP_ENUM(event_kind);
KEEP_ENUM(event_source);
KEEP_ENUM(event_flag);
KEEP_ENUM(orphan);
KEEP_ENUM(future_state);
KEEP_ENUM(call_scheme);
KEEP_ENUM(field_kind);
KEEP_ENUM(pseudo);
KEEP_ENUM(doubt);
KEEP_ENUM(counter);
KEEP_ENUM(target_flag);
KEEP_ENUM(sampler);
