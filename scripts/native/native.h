/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the two halves of the native benchmark know of each other: kernel.c is
 * compiled with the headers and flags of a kernel tree, main.c as a program.
 * Plain C types only.
 */
#ifndef NATIVE_H
#define NATIVE_H

/*
 * Memory that is put online, in pages. It begins at 64 GiB and is a multiple of
 * the largest block; its memory map of 1 GiB is larger than any cache.
 */
#define NATIVE_START	(1UL << 24)
#define NATIVE_PAGES	(1UL << 24)

#define NATIVE_STRUCT_PAGE 64UL		/* bytes, of bench-native, too */

/* A fixed address: struct pages hold pointers, and two programs are compared. */
#define NATIVE_MEMMAP	0x200000000000UL

/* Have prefetchw() prefetch for writing; the kernel's code must be writable. */
void native_use_prefetchw(void);

/*
 * The state before any of the memory is online: memory sections with a memory
 * map that is not initialized, in an empty ZONE_MOVABLE. The memory map is not
 * touched. @any: online pages by another callback than generic_online_page().
 * Returns 0 or a negative error code of the kernel.
 */
int native_reset(int any);

/* online_pages() of the kernel. @pfn and @pages: whole memory sections. */
int native_online(unsigned long pfn, unsigned long pages);

/* A hash of the struct pages from @pfn on, those of @pages pages. */
unsigned long native_hash_pages(unsigned long pfn, unsigned long pages);

/* A hash of zone, node, free lists, sections and the migrate types of pageblocks. */
unsigned long native_hash_zone(void);

#endif
