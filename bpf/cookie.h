// What a site's attach cookie says beside the layout: see COOKIE_OFFSET_SHIFT.
#pragma once

static __always_inline __u32 offset_of(struct pt_regs *ctx) {
  return attach_cookie(ctx) >> COOKIE_OFFSET_SHIFT & 0xffff;
}

// By number in x86 encodings. Each load stays by itself: one through a computed pointer is refused.
#define REGISTER(number, member)                                                                           \
  case number:                                                                                             \
    value = ctx->member;                                                                                   \
    asm volatile("" : "+r"(value));                                                                        \
    return value

static __always_inline __u64 register_value(const struct pt_regs *ctx, __u32 number) {
  __u64 value;
  switch (number) {
    REGISTER(0, ax);
    REGISTER(1, cx);
    REGISTER(2, dx);
    REGISTER(3, bx);
    REGISTER(4, sp);
    REGISTER(5, bp);
    REGISTER(6, si);
    REGISTER(7, di);
    REGISTER(8, r8);
    REGISTER(9, r9);
    REGISTER(10, r10);
    REGISTER(11, r11);
    REGISTER(12, r12);
    REGISTER(13, r13);
    REGISTER(14, r14);
    REGISTER(15, r15);
  default:
    return 0;
  }
}

static __always_inline __u64 register_of(struct pt_regs *ctx) {
  return register_value(ctx, attach_cookie(ctx) >> COOKIE_REGISTER_SHIFT);
}
