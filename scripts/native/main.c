// SPDX-License-Identifier: GPL-2.0
/*
 * native: nanoseconds per page that the online_pages() it was linked with takes.
 *
 * For both online callbacks and both sizes of a memory block, all memory of
 * native.h is put online, block by block. Before that its memory map is
 * overwritten with non-temporal stores, which leaves none of it in a cache. What
 * one pass over it costs is timed by blocks, too: with these stores, and with
 * ordinary ones.
 *
 * Prints lines
 *
 *   CASE ns NONTEMPORAL PLAIN ONLINE      one for each block, in ns per page
 *   CASE pages BLOCK HASH     one for each 128 MiB
 *   CASE zone HASH
 *
 * Exit status 0, or 1 and a line on stderr. Where kernel code did what it cannot
 * do here, that line is "trap KIND ADDRESS RIP", hexadecimal.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "native.h"

#define SMALL_BLOCK	(1UL << 15)	/* pages of 128 MiB */
#define LARGE_BLOCK	(1UL << 19)	/* pages of 2 GiB */

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void trap(int signal, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	char line[128];
	int n;

	n = snprintf(line, sizeof(line), "trap %s %lx %llx\n", strsignal(signal),
		     (unsigned long)info->si_addr, c->uc_mcontext.gregs[REG_RIP]);
	write(2, line, n);
	_exit(1);
}

/* Nanoseconds in which this program ran: what others do meanwhile is left out. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Overwrite the memory map of some pages, past the caches. */
static void overwrite(unsigned long pfn, unsigned long pages)
{
	long long *word = (void *)(NATIVE_MEMMAP + (pfn - NATIVE_START) * NATIVE_STRUCT_PAGE);
	long long *end = word + pages * NATIVE_STRUCT_PAGE / sizeof(*word);

	for (; word < end; word++)
		__builtin_ia32_movnti64(word, -1);
	__builtin_ia32_sfence();
}

/* Overwrite the memory map of some pages, with what the kernel initializes it with. */
static void overwrite_plain(unsigned long pfn, unsigned long pages)
{
	volatile long long *word = (void *)(NATIVE_MEMMAP + (pfn - NATIVE_START) * NATIVE_STRUCT_PAGE);
	volatile long long *end = word + pages * NATIVE_STRUCT_PAGE / sizeof(*word);

#pragma GCC unroll 8
	for (; word < end; word++)
		*word = -1;
}

static void run(const char *name, int any, unsigned long block)
{
	unsigned long end = NATIVE_START + NATIVE_PAGES, pfn;
	double floor[NATIVE_PAGES / SMALL_BLOCK], plain[NATIVE_PAGES / SMALL_BLOCK], t;

	overwrite(NATIVE_START, NATIVE_PAGES);
	for (pfn = NATIVE_START; pfn < end; pfn += block) {
		t = now();
		overwrite_plain(pfn, block);
		plain[(pfn - NATIVE_START) / block] = now() - t;
	}
	for (pfn = NATIVE_START; pfn < end; pfn += block) {
		t = now();
		overwrite(pfn, block);
		floor[(pfn - NATIVE_START) / block] = now() - t;
	}
	errno = -native_reset(any);
	if (errno)
		die("online callback");
	for (pfn = NATIVE_START; pfn < end; pfn += block) {
		t = now();
		errno = -native_online(pfn, block);
		t = now() - t;
		if (errno)
			die("online_pages");
		printf("%s ns %.3f %.3f %.3f\n", name, floor[(pfn - NATIVE_START) / block] / block,
		       plain[(pfn - NATIVE_START) / block] / block, t / block);
	}
	for (pfn = NATIVE_START; pfn < end; pfn += SMALL_BLOCK)
		printf("%s pages %lu %lx\n", name, (pfn - NATIVE_START) / SMALL_BLOCK,
		       native_hash_pages(pfn, SMALL_BLOCK));
	printf("%s zone %lx\n", name, native_hash_zone());
}

/* Change the access to the program's code. */
static void protect_code(int access)
{
	const Elf64_Phdr *p = (void *)getauxval(AT_PHDR), *end = p + getauxval(AT_PHNUM);

	for (; p < end; p++) {
		if (p->p_type == PT_LOAD && p->p_flags & PF_X && mprotect((void *)p->p_vaddr, p->p_memsz, access))
			die("write to code");
	}
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = trap, .sa_flags = SA_SIGINFO };
	unsigned long size = NATIVE_PAGES * NATIVE_STRUCT_PAGE;
	void *memmap;

	memmap = mmap((void *)NATIVE_MEMMAP, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (memmap == MAP_FAILED)
		die("memory map");
	/* The kernel maps it by 2 MiB; a kernel without huge pages measures small ones. */
	madvise(memmap, size, MADV_HUGEPAGE);
	memset(memmap, 0, size);

	protect_code(PROT_READ | PROT_WRITE | PROT_EXEC);
	native_use_prefetchw();
	protect_code(PROT_READ | PROT_EXEC);

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	run("generic-128M", 0, SMALL_BLOCK);
	run("generic-2G", 0, LARGE_BLOCK);
	run("anycb-128M", 1, SMALL_BLOCK);
	run("anycb-2G", 1, LARGE_BLOCK);
	return 0;
}
