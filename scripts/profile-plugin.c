// SPDX-License-Identifier: GPL-2.0
/*
 * A TCG plugin for QEMU that counts the instructions the guest's kernel executes, by
 * address, while somebody in the guest is interested in it.
 *
 *   -plugin plugin.so,mark=ADDRESS,out=FILE
 *
 * Counting begins when the instruction at ADDRESS (hexadecimal, the entry of a system
 * call that nobody else uses) is executed for the first time, ends with the second,
 * begins anew with the third, and so on. At each end FILE gets a line "end" after a
 * line "ADDRESS INSTRUCTIONS" for each translation block that was executed.
 * A translation block ends with a jump at the latest, so it belongs to the function
 * that it begins in. The guest must run with -icount: then one CPU runs at a time, and
 * what all of them execute is counted.
 *
 * The interface is that of QEMU's documentation, "TCG Plugins", version 1. Debian's
 * packages of QEMU do not have its header.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*cb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum qemu_plugin_op op,
					      void *ptr, uint64_t imm);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*cb)(unsigned int vcpu, void *data),
					    enum qemu_plugin_cb_flags flags, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

#define EXPORT __attribute__((visibility("default")))
#define KERNEL 0xffff800000000000ULL
#define BUCKETS 65536

EXPORT int qemu_plugin_version = 1;

/* What was executed at an address; blocks that are translated again count on. */
struct block {
	struct block *next;
	uint64_t address, instructions;
};

static struct block *blocks[BUCKETS];
static uint64_t mark;
static int counting;
static FILE *out;

static struct block *find(uint64_t address)
{
	struct block **bucket = &blocks[address / 2 % BUCKETS], *b;

	for (b = *bucket; b; b = b->next) {
		if (b->address == address)
			return b;
	}
	b = calloc(1, sizeof(*b));
	if (!b)
		abort();
	b->address = address;
	b->next = *bucket;
	*bucket = b;
	return b;
}

static void marked(unsigned int vcpu, void *data)
{
	struct block *b;
	int i;

	counting = !counting;
	for (i = 0; i < BUCKETS; i++) {
		for (b = blocks[i]; b; b = b->next) {
			if (!counting && b->instructions)
				fprintf(out, "%llx %llu\n", (unsigned long long)b->address,
					(unsigned long long)b->instructions);
			b->instructions = 0;
		}
	}
	if (!counting) {
		fputs("end\n", out);
		fflush(out);
	}
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);

	if (qemu_plugin_tb_vaddr(tb) < KERNEL)
		return;
	qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64,
						 &find(qemu_plugin_tb_vaddr(tb))->instructions, n);
	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		if (qemu_plugin_insn_vaddr(insn) == mark)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, QEMU_PLUGIN_CB_NO_REGS, NULL);
	}
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	int i;

	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "mark=", 5))
			mark = strtoull(argv[i] + 5, NULL, 16);
		else if (!strncmp(argv[i], "out=", 4))
			out = fopen(argv[i] + 4, "w");
	}
	if (!mark || !out) {
		fprintf(stderr, "plugin.c: mark= and out= are needed, and out= must be a file that can be written\n");
		return 1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
