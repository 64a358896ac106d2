#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Join the figures of base and stack.

usage: bench.py BASE STACK [BASE STACK]... EXPECT OUT.json OUT.md

BASE and STACK are lists of {"op", "value", "unit"} as guest.py writes them.
OUT.json gets {"op", "unit", "base", "stack"} for each op, OUT.md a table. Exit
status 1 when an op is missing on one side, or when base / stack is below what
EXPECT (lines "op factor") asks for.
"""

import json
import sys
from pathlib import Path

HEAD = """# What the stack changes in cost

Written by `make bench`: both trees in the same run, one CPU, QEMU TCG with
`-icount shift=0`. Instructions are executed instructions, not time: they do not
see caches or memory bandwidth. Flushes are those of the TLBs of all CPUs.

| operation | unit | v7.3 | stack | v7.3 / stack |
|---|---|---|---|---|
"""


def main(argv):
    if len(argv) < 6 or len(argv) % 2:
        print('bench.py: ' + __doc__.split('\n\n')[1], file=sys.stderr)
        return 2
    *inputs, expect, out_json, out_md = argv[1:]
    joined = {}
    for side, path in zip(['base', 'stack'] * (len(inputs) // 2), inputs):
        for f in json.loads(Path(path).read_text()):
            entry = joined.setdefault(f['op'], {'op': f['op'], 'unit': f['unit']})
            entry[side] = f['value']
    for e in joined.values():
        if 'base' not in e or 'stack' not in e:
            print(f"bench.py: {e['op']} was not measured on both trees", file=sys.stderr)
            return 1
    rows = sorted(joined.values(), key=lambda e: e['op'])
    Path(out_json).write_text(json.dumps(rows, indent=1) + '\n')
    table = HEAD + ''.join(
        f"| {e['op']} | {e['unit']} | {e['base']:,.1f} | {e['stack']:,.1f} | "
        f"{e['base'] / e['stack'] if e['stack'] else float('nan'):.2f} |\n" for e in rows)
    Path(out_md).write_text(table)
    print(table)
    status = 0
    for line in Path(expect).read_text().splitlines():
        if not line.strip() or line.startswith('#'):
            continue
        op, factor = line.split()
        if op not in joined or joined[op]['base'] < float(factor) * joined[op]['stack']:
            print(f'NOT OK {op}: not {factor} times less than on base')
            status = 1
        else:
            print(f"ok     {op}: {joined[op]['base'] / joined[op]['stack']:.1f} times less than on base")
    return status


if __name__ == '__main__':
    sys.exit(main(sys.argv))
