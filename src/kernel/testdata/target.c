// A program to attach uprobes to. Each byte read from stdin calls `first` and `second` with the byte as
// argument, then the byte is written back, so that a test knows that the calls are over.
// Made: gcc -O1 -nostdlib -static -no-pie -fno-pie -fcf-protection=none -Wl,--build-id=none -s target.c -o target && gzip -9n target
__asm__(".section .first,\"ax\"\n.globl first\nfirst: push %rbp\n pop %rbp\n ret\n"
	".section .second,\"ax\"\n.globl second\nsecond: push %rbp\n pop %rbp\n ret\n"
	".text\n");

void first(long argument);
void second(long argument);

static long call3(long number, long a, void *b, long c)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

void _start(void)
{
	unsigned char byte;
	call3(158, 0x1002, (void *)0x12345678000, 0); // arch_prctl(ARCH_SET_FS): a thread pointer to recognise
	while (call3(0, 0, &byte, 1) == 1) {
		first(byte);
		second(byte);
		call3(1, 1, &byte, 1);
	}
	call3(231, 0, 0, 0);
}
