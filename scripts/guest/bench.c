// SPDX-License-Identifier: GPL-2.0
/*
 * memhp-bench START SIZE LABEL [details]: what adding, onlining, offlining and
 * removing SIZE bytes of memory at physical address START costs, in nanoseconds of
 * the guest's monotonic clock. Under QEMU's -icount shift=0 one nanosecond is one
 * instruction, whatever the host does meanwhile. With "details", also what single
 * blocks cost, and the flushes of TLBs.
 *
 * The range must be RAM that the kernel does not use (parameter mem=). It is
 * added and removed through the test device, /dev/test_memory_hotplug, and
 * onlined to ZONE_MOVABLE block by block through sysfs. All of that is done
 * several times, and the least of each figure counts: an interrupt only adds to it,
 * and later rounds find what the earlier ones have left in the slabs.
 *
 * memhp-bench START SIZE LABEL profile: the same operations once more after that, each
 * between two calls of personality(), by which scripts/profile-plugin.c knows that it
 * has to count. Prints lines "MEMHP profile OP" instead of figures.
 *
 * memhp-bench reserves LABEL: what it costs to change the managed pages of zone
 * Normal of node 0 by one, and to give a page of the memory map from boot back
 * when a huge page does without it (hugetlb_free_vmemmap=on). Node 0 must have
 * memory in other zones, too.
 *
 * memhp-bench irqs-off BLOCK LABEL: the longest time that interrupts are disabled while
 * memory block BLOCK goes offline. It must be online, and is online in ZONE_MOVABLE
 * afterwards. A timer tells that: it expires every 20000 ns, or when it can. CPU 0 must
 * be the only one. Interrupts that are disabled for N ns make a gap of N to N + 20000 ns
 * between two expirations; the longest gap of ten rounds, minus 20000 ns, counts. The
 * round before them moves away what is in use, which takes long, and is not offlining.
 *
 * Prints lines "MEMHP bench OP VALUE UNIT". Exit status 0, or 1 with a message
 * when a step fails; what was done until then stays.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "test_memory_hotplug_uapi.h"

#define MEMORY "/sys/devices/system/memory"
#define ROUNDS 10
#define TICK 20000		/* ns */
#define TICK_PAGES 1024		/* of samples: a power of 2; more are lost */
#define LARGE 126		/* blocks: a range of so many gets three rounds */

static void die(const char *what)
{
	printf("memhp-bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* Print one figure; the name is formatted. */
static void figure(double value, const char *unit, const char *name, ...)
{
	char op[64];
	va_list ap;

	va_start(ap, name);
	vsnprintf(op, sizeof(op), name, ap);
	va_end(ap);
	printf("MEMHP bench %s %.1f %s\n", op, value, unit);
}

static unsigned long long block_size(void)
{
	unsigned long long size;
	FILE *f = fopen(MEMORY "/block_size_bytes", "r");

	if (!f || fscanf(f, "%llx", &size) != 1)
		die("block_size_bytes");
	fclose(f);
	return size;
}

/* Write a state to a block; returns what that took, in nanoseconds. */
static unsigned long long set_state(unsigned long long block, const char *state)
{
	unsigned long long start, end;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), MEMORY "/memory%llu/state", block);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		die(path);
	start = now();
	if (write(fd, state, strlen(state)) < 0)
		die(path);
	end = now();
	close(fd);
	return end - start;
}

/* A counter of /proc/vmstat, 0 if there is none. */
static unsigned long vmstat(const char *name)
{
	unsigned long n = 0;
	char line[128];
	size_t len = strlen(name);
	FILE *f = fopen("/proc/vmstat", "r");

	if (!f)
		die("/proc/vmstat");
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, len) && line[len] == ' ')
			n = strtoul(line + len, NULL, 10);
	}
	fclose(f);
	return n;
}

/* Flushes of the TLBs of all CPUs since boot, CONFIG_DEBUG_TLBFLUSH. */
static unsigned long tlb_flushes(void)
{
	return vmstat("nr_tlb_remote_flush");
}

/* Have the direct map of a range split into PTEs: a page of each 2 MiB leaves it and returns. */
static void split(int fd, unsigned long long start, unsigned long long size)
{
	struct test_mhp_set_mapped m = { .start = start, .size = sysconf(_SC_PAGESIZE) };

	for (; m.start < start + size; m.start += 2 << 20) {
		for (m.mapped = 0; m.mapped < 2; m.mapped++)
			if (ioctl(fd, TEST_MHP_SET_MAPPED, &m))
				die("set mapped");
	}
}

/* One CPU changes the managed pages of a zone; returns what that took. */
static unsigned long long adjust(int fd, unsigned int zone, unsigned long long calls)
{
	struct test_mhp_adjust a = {
		.zone = zone, .what = TEST_MHP_ADJUST_CPUS, .cpus = 1, .pages = 1, .calls = calls,
	};
	unsigned long long t = now();

	if (ioctl(fd, TEST_MHP_ADJUST, &a))
		die("adjust");
	return now() - t;
}

static int bench_reserves(int fd, const char *label)
{
	struct test_mhp_zone zone = {};
	unsigned long long t;
	unsigned long pages;
	int hugepages;

	for (; strcmp(zone.name, "Normal"); zone.zone++)
		if (ioctl(fd, TEST_MHP_ZONE, &zone))
			die("no zone Normal");
	zone.zone--;
	adjust(fd, zone.zone, 1);
	t = adjust(fd, zone.zone, 1);
	figure((adjust(fd, zone.zone, 10001) - t) / 20000.0, "instructions/call", "adjust-%s", label);

	hugepages = open("/proc/sys/vm/nr_hugepages", O_WRONLY);
	if (hugepages < 0)
		die("nr_hugepages");
	pages = vmstat("nr_memmap_boot_pages");
	t = now();
	if (write(hugepages, "64", 2) != 2)
		die("nr_hugepages");
	t = now() - t;
	pages -= vmstat("nr_memmap_boot_pages");
	if (!pages) {
		printf("memhp-bench: huge pages have all of their memory map\n");
		return 1;
	}
	figure((double)t / pages, "instructions/page", "hugetlb-memmap-%s", label);
	close(hugepages);
	return 0;
}

/* With a label: the next round is for scripts/profile-plugin.c. */
static const char *profile;

/* Before an operation, and with its name after it. */
static void mark(const char *op)
{
	if (!profile)
		return;
	syscall(SYS_personality, 0xffffffff);
	if (op)
		printf("MEMHP profile %s-%s\n", op, profile);
}

/* What is measured in each round, in nanoseconds unless it says otherwise. */
enum { ADD, ONLINE, ONLINE_2ND, ONLINE_3RD, ONLINE_126TH, OFFLINE, OFFLINE_2ND, REMOVE, FLUSHES, NR_FIGURES };

/* Add a range of nr blocks, online it, offline it, remove it. */
static void one_round(int fd, struct test_mhp_range *range, unsigned long long block, double *figures)
{
	unsigned long long nr = range->size / block, first = range->start / block, i, t, flushes;

	mark(NULL);
	t = now();
	if (ioctl(fd, TEST_MHP_ADD, range))
		die("add");
	figures[ADD] = now() - t;
	mark("add");

	mark(NULL);
	for (figures[ONLINE] = 0, i = 0; i < nr; i++) {
		t = set_state(first + i, "online_movable");
		figures[ONLINE] += t;
		if (i == 1)
			figures[ONLINE_2ND] = t;
		if (i == 2)
			figures[ONLINE_3RD] = t;
		if (i == 125)
			figures[ONLINE_126TH] = t;
	}
	mark("online");

	mark(NULL);
	for (figures[OFFLINE] = 0, i = 0; i < nr; i++) {
		t = set_state(first + i, "offline");
		figures[OFFLINE] += t;
		if (i == 1)
			figures[OFFLINE_2ND] = t;
	}
	mark("offline");

	flushes = tlb_flushes();
	mark(NULL);
	t = now();
	if (ioctl(fd, TEST_MHP_REMOVE, range))
		die("remove");
	figures[REMOVE] = now() - t;
	mark("remove");
	figures[FLUSHES] = tlb_flushes() - flushes;
}

static int bench_range(int fd, struct test_mhp_range *range, const char *label, const char *what)
{
	unsigned long long block = block_size(), nr = range->size / block, pages = block / sysconf(_SC_PAGESIZE);
	double least[NR_FIGURES], figures[NR_FIGURES] = {};
	unsigned long flushes;
	int i, f;

	if (!nr || range->start % block || range->size % block) {
		printf("memhp-bench: START and SIZE must be multiples of %#llx\n", block);
		return 1;
	}
	for (i = 0; i < (nr < LARGE ? ROUNDS : 3); i++) {
		one_round(fd, range, block, figures);
		for (f = 0; f < NR_FIGURES; f++)
			if (!i || figures[f] < least[f])
				least[f] = figures[f];
	}

	if (!strcmp(what, "profile")) {
		profile = label;
		one_round(fd, range, block, figures);
		return 0;
	}
	figure(least[ADD], "instructions", "add-%s", label);
	figure(least[ONLINE], "instructions", "online-%s", label);
	figure(least[OFFLINE], "instructions", "offline-%s", label);
	figure(least[REMOVE], "instructions", "remove-%s", label);
	if (strcmp(what, "details"))
		return 0;
	figure(least[FLUSHES], "flushes", "tlbflush-remove-%s-2Mmap", label);
	if (nr >= LARGE) {
		figure(least[ONLINE] / nr, "instructions", "online-%s-per-block", label);
		figure(100.0 * least[ONLINE_126TH] / least[ONLINE_2ND], "percent",
		       "online-%s-block126-vs-block2", label);
		return 0;
	}
	/* Not the first and not the last block: those change the zone's state. */
	if (nr >= 3) {
		figure(least[ONLINE_3RD] / pages, "instructions/page",
		       "online-steady-%lluM-per-page", block >> 20);
		figure(least[OFFLINE_2ND], "instructions", "offline-free-%lluM", block >> 20);
	}
	if (ioctl(fd, TEST_MHP_ADD, range))
		die("add");
	split(fd, range->start, range->size);
	flushes = tlb_flushes();
	if (ioctl(fd, TEST_MHP_REMOVE, range))
		die("remove");
	figure(tlb_flushes() - flushes, "flushes", "tlbflush-remove-%s-4Kmap", label);
	return 0;
}

struct sample {
	struct perf_event_header header;
	unsigned long long time;
};

/* The longest time between two samples in the ring buffer, in nanoseconds. */
static unsigned long long longest_gap(struct perf_event_mmap_page *ring)
{
	unsigned long long at, last = 0, gap = 0;
	char *data = (char *)ring + ring->data_offset;
	unsigned long long head = __atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE);

	for (at = ring->data_tail; at < head; ) {
		/* Neither of these types of records is larger than a sample. */
		struct sample *s = (struct sample *)(data + at % ring->data_size);

		if (s->header.type == PERF_RECORD_SAMPLE) {
			if (last && s->time - last > gap)
				gap = s->time - last;
			last = s->time;
		} else {
			printf("memhp-bench: perf: record of type %u\n", s->header.type);
			exit(1);
		}
		at += s->header.size;
	}
	__atomic_store_n(&ring->data_tail, head, __ATOMIC_RELEASE);
	return gap;
}

static int bench_irqs_off(unsigned long long block, const char *label)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = TICK,
		.sample_type = PERF_SAMPLE_TIME,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.disabled = 1,
	};
	unsigned long long gap, longest = 0;
	struct perf_event_mmap_page *ring;
	int fd, round;

	fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
	if (fd < 0)
		die("perf_event_open");
	ring = mmap(NULL, (1 + TICK_PAGES) * getpagesize(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		die("mmap");
	for (round = 0; round < 1 + ROUNDS; round++) {
		if (ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
			die("PERF_EVENT_IOC_ENABLE");
		set_state(block, "offline");
		if (ioctl(fd, PERF_EVENT_IOC_DISABLE, 0))
			die("PERF_EVENT_IOC_DISABLE");
		gap = longest_gap(ring);
		if (gap < TICK) {
			printf("memhp-bench: no two ticks\n");
			return 1;
		}
		if (round && gap > longest)
			longest = gap;
		set_state(block, "online_movable");
	}
	figure(longest - TICK, "max-instructions", "irqs-off-%s", label);
	return 0;
}

int main(int argc, char **argv)
{
	struct test_mhp_range range = {};
	int fd;

	fd = open("/dev/test_memory_hotplug", O_RDWR);
	if (fd < 0)
		die("/dev/test_memory_hotplug");
	if (argc == 3 && !strcmp(argv[1], "reserves"))
		return bench_reserves(fd, argv[2]);
	if (argc == 4 && !strcmp(argv[1], "irqs-off"))
		return bench_irqs_off(strtoull(argv[2], NULL, 10), argv[3]);
	if (argc != 4 && (argc != 5 || (strcmp(argv[4], "details") && strcmp(argv[4], "profile")))) {
		printf("usage: memhp-bench START SIZE LABEL [details|profile], memhp-bench reserves LABEL,"
		       " or memhp-bench irqs-off BLOCK LABEL\n");
		return 1;
	}
	range.start = strtoull(argv[1], NULL, 0);
	range.size = strtoull(argv[2], NULL, 0);
	return bench_range(fd, &range, argv[3], argc == 5 ? argv[4] : "");
}
