// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel around online_pages(), for the native benchmark: one node, one zone
 * and memory sections as hot-added memory has them, and stand-ins for what
 * online_pages() calls and does not measure (locks without other CPUs, notifiers,
 * threads, watermarks). Compiled with the headers and flags of the tree that is
 * measured, linked with objects of its mm/; see scripts/bench-native.
 *
 * A kernel function that is called and has neither an object nor a stand-in ends
 * the program with its name: add it here if it is none of the work that is
 * measured, else its object in scripts/bench-native.
 *
 * One CPU: the base of GS is 0, so a per-CPU variable is the one that was linked.
 */
#include <linux/compaction.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/node.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/swap.h>
#include <linux/tracepoint.h>
#include <linux/vmstat.h>
#include <linux/writeback.h>

#include <asm/alternative.h>

#include "internal.h"
#include "native.h"

#define NR_SECTIONS	(NATIVE_PAGES / PAGES_PER_SECTION)
static_assert(sizeof(struct page) == NATIVE_STRUCT_PAGE);

/* ---- variables of other objects ------------------------------------------ */

unsigned long vmemmap_base;
unsigned long highest_memmap_pfn;
struct cpuinfo_x86 boot_cpu_data;	/* without features: 4-level page tables */
struct pglist_data *node_data[MAX_NUMNODES];
DEFINE_PER_CPU_CACHE_HOT(unsigned long, __preempt_count) = PREEMPT_ENABLED;
DEFINE_PER_CPU_CACHE_HOT(unsigned long, this_cpu_off);
unsigned long __per_cpu_offset[NR_CPUS];
static struct task_struct task;
DEFINE_PER_CPU_CACHE_HOT(struct task_struct *, current_task) = &task;
asm(".globl const_current_task; const_current_task = current_task");
/* Each tracepoint that no object has, see bench-native: they are off. */
struct tracepoint native_tracepoint;

/* ---- stand-ins ------------------------------------------------------------ */

/* What the kernel's are on CPUs with fast string operations. */
#undef memset
void *memset(void *s, int c, size_t n)
{
	void *p = s;

	asm volatile("rep stosb" : "+D" (p), "+c" (n) : "a" (c) : "memory");
	return s;
}

#undef memcpy
void *memcpy(void *to, const void *from, size_t n)
{
	void *p = to;

	asm volatile("rep movsb" : "+D" (p), "+S" (from), "+c" (n) : : "memory");
	return to;
}

/* Locks: taken as the kernel does; interrupts are not disabled, as programs cannot. */
void __lockfunc _raw_spin_lock(raw_spinlock_t *lock)
{
	preempt_disable();
	arch_spin_lock(&lock->raw_lock);
}

void __lockfunc _raw_spin_unlock(raw_spinlock_t *lock)
{
	arch_spin_unlock(&lock->raw_lock);
	preempt_enable();
}

unsigned long __lockfunc _raw_spin_lock_irqsave(raw_spinlock_t *lock)
{
	_raw_spin_lock(lock);
	return 0;
}

void __lockfunc _raw_spin_unlock_irqrestore(raw_spinlock_t *lock, unsigned long flags)
{
	_raw_spin_unlock(lock);
}

void mutex_lock(struct mutex *lock)
{
}

void mutex_unlock(struct mutex *lock)
{
}

int memory_notify(enum memory_block_state state, void *v)
{
	return NOTIFY_OK;
}

int node_notify(unsigned long val, void *v)
{
	return NOTIFY_OK;
}

void kswapd_run(int nid)
{
}

void kcompactd_run(int nid)
{
}

void writeback_set_ratelimit(void)
{
}

/*
 * Functions that memory_hotplug.c calls and other objects have, see WRAPPED in
 * bench-native. set_zone_contiguous() of v7.3 walks through the whole zone: that is
 * counted in guests, it would hide what a page costs.
 */
void __wrap_set_zone_contiguous(struct zone *zone);
void __wrap_set_zone_contiguous(struct zone *zone)
{
}

void __wrap_setup_zone_pageset(struct zone *zone);
void __wrap_setup_zone_pageset(struct zone *zone)
{
}

void __wrap_build_all_zonelists(pg_data_t *pgdat);
void __wrap_build_all_zonelists(pg_data_t *pgdat)
{
}

int __wrap_init_per_zone_wmark_min(void);
int __wrap_init_per_zone_wmark_min(void)
{
	return 0;
}

/* ---- the benchmark ---------------------------------------------------------- */

extern struct alt_instr __start_altinstructions[], __stop_altinstructions[];
static struct pglist_data node;
static struct per_cpu_zonestat zonestat;
static struct per_cpu_nodestat nodestat;
static struct mem_section sections[NR_SECTIONS] __aligned(PAGE_SIZE);
static struct mem_section *roots[SECTION_NR_TO_ROOT((NATIVE_START + NATIVE_PAGES) / PAGES_PER_SECTION)];
static unsigned long usages[NR_SECTIONS][(sizeof(struct mem_section_usage) +
					  SECTION_BLOCKFLAGS_BITS / 8 + 7) / 8];

static struct zone *movable(void)
{
	return &node.node_zones[ZONE_MOVABLE];
}

/* As virtio-mem onlines what is plugged, with generic_online_page(). */
static void any_callback(struct page *page, unsigned int order)
{
	generic_online_page(page, order);
}

/*
 * At boot the kernel replaces instructions by what the CPU has. Of all of these,
 * one is in the loops over struct pages: prefetchw(). Its replacement is no
 * operation on CPUs that do not have it.
 */
void native_use_prefetchw(void)
{
	struct alt_instr *alt;

	for (alt = __start_altinstructions; alt < __stop_altinstructions; alt++) {
		u8 *instr = (u8 *)&alt->instr_offset + alt->instr_offset;

		if (alt->ft_flags != X86_FEATURE_3DNOWPREFETCH)
			continue;
		memset(instr, 0x90, alt->instrlen);
		memcpy(instr, (u8 *)&alt->repl_offset + alt->repl_offset, alt->replacementlen);
	}
}

int native_reset(int any)
{
	unsigned long i, first = pfn_to_section_nr(NATIVE_START);

	vmemmap_base = NATIVE_MEMMAP - NATIVE_START * sizeof(struct page);

	memset(&node, 0, sizeof(node));
	memset(&zonestat, 0, sizeof(zonestat));
	memset(&nodestat, 0, sizeof(nodestat));
	node.per_cpu_nodestats = (struct per_cpu_nodestat __percpu __force *)&nodestat;
	for (i = 0; i < MAX_NR_ZONES; i++) {
		struct zone *zone = &node.node_zones[i];

		zone->zone_pgdat = &node;
		zone->name = "native";
		zone->per_cpu_zonestats = (struct per_cpu_zonestat __percpu __force *)&zonestat;
	}
	node_data[0] = &node;
	node_set_state(0, N_ONLINE);
	node_set_state(0, N_MEMORY);
	node_set_state(0, N_NORMAL_MEMORY);

	mem_section = roots;
	memset(usages, 0, sizeof(usages));
	for (i = 0; i < NR_SECTIONS; i++) {
		struct mem_section_usage *usage = (void *)usages[i];

		bitmap_fill(usage->subsection_map, SUBSECTIONS_PER_SECTION);
		sections[i].usage = usage;
		sections[i].section_mem_map = NATIVE_MEMMAP - NATIVE_START * sizeof(struct page);
		sections[i].section_mem_map |= SECTION_MARKED_PRESENT | SECTION_HAS_MEM_MAP;
		roots[SECTION_NR_TO_ROOT(first + i)] = &sections[i & ~SECTION_ROOT_MASK];
	}

	restore_online_page_callback(any_callback);
	return any ? set_online_page_callback(any_callback) : 0;
}

int native_online(unsigned long pfn, unsigned long pages)
{
	return online_pages(pfn, pages, movable(), NULL);
}

static unsigned long mix(unsigned long hash, unsigned long value)
{
	return (hash ^ value) * 0x9e3779b97f4a7c15UL + (hash >> 29);
}

/* A word of a struct page; the head of a free list is the same wherever the zone is. */
static unsigned long without_zone(unsigned long word)
{
	unsigned long lists = (unsigned long)movable()->free_area;

	if (word - lists >= sizeof(movable()->free_area))
		return word;
	return word - lists + 1;
}

unsigned long native_hash_pages(unsigned long pfn, unsigned long pages)
{
	const unsigned long *word = (void *)pfn_to_page(pfn);
	unsigned long i, hash = 0;

	for (i = 0; i < pages * sizeof(struct page) / sizeof(long); i++)
		hash = mix(hash, without_zone(word[i]));
	return hash;
}

unsigned long native_hash_zone(void)
{
	struct zone *zone = movable();
	unsigned long i, mt, hash = 0;

	hash = mix(hash, zone->zone_start_pfn);
	hash = mix(hash, zone->spanned_pages);
	hash = mix(hash, zone->present_pages);
	hash = mix(hash, zone_managed_pages(zone));
	hash = mix(hash, zone->nr_isolate_pageblock);
	hash = mix(hash, node.node_start_pfn);
	hash = mix(hash, node.node_spanned_pages);
	hash = mix(hash, node.node_present_pages);
	for (i = 0; i < NR_VM_ZONE_STAT_ITEMS; i++)
		hash = mix(hash, atomic_long_read(&zone->vm_stat[i]) + zonestat.vm_stat_diff[i]);
	for (i = 0; i < NR_PAGE_ORDERS; i++) {
		hash = mix(hash, zone->free_area[i].nr_free);
		for (mt = 0; mt < MIGRATE_TYPES; mt++) {
			struct list_head *list = &zone->free_area[i].free_list[mt];

			hash = mix(hash, without_zone((unsigned long)list->next));
			hash = mix(hash, without_zone((unsigned long)list->prev));
		}
	}
	for (i = 0; i < NR_SECTIONS; i++) {
		hash = mix(hash, online_section(&sections[i]));
		for (mt = 0; mt < ARRAY_SIZE(usages[i]); mt++)
			hash = mix(hash, usages[i][mt]);
	}
	return hash;
}
