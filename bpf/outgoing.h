// Sends that sk_msg has seen before they were made, at their end.
#pragma once

// The send has ended: how many bytes of its messages were taken.
static __always_inline void frames_sent(struct connection *c, int bytes) {
  struct outgoing_frames *f = &c->out.frames;
  __u32 size = f->size;
  f->size = 0;
  if (bytes <= 0) { // all of it comes again
    if (!size) return;
    f->skip = f->before;
    f->step = f->step_before;
    return;
  }
  f->send = 0;
  if (f->step != FRAMES_FOLLOWED) return;
  if (bytes > size) f->step = FRAMES_UNKNOWN; // not all of it was shown
  else f->skip += size - bytes;               // the rest comes again, without a field that was not in reach
}

// What sk_msg has prepared holds for one send.
static __always_inline void message_sent(struct sock *sk, int bytes) {
  struct connection *c = bpf_sk_storage_get(&connections, sk, 0, 0);
  if (!c) return;
  c->out.sending = 0;
  frames_sent(c, bytes);
}
