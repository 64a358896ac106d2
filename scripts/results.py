#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Work on the result lists that guest.py writes.

usage: results.py merge ALL RUN...    put the runs of one scenario and tree into ALL
       results.py status ALL SCENARIO TREE TEST    print the status of one test
       results.py count ALL [SCENARIO TREE]    print 'N passed, N failed, N skipped'
       results.py failures ALL        print each result that is not the expected one, with its console lines
       results.py table ALL           print base and stack side by side (Markdown)

A result passes when its status is the expected one, and is counted as skipped
only when a skip is expected. merge and count exit with 1 when one does not.
Without a tree, count and failures leave the mutants out: they are meant to fail,
and scripts/mutants judges them.
"""

import fcntl
import json
import sys
from collections import Counter
from pathlib import Path


def read(path):
    """The list in `path`; an empty one when there is no such file."""
    p = Path(path)
    return json.loads(p.read_text()) if p.exists() else []


def merge(target, runs):
    """Replace the results of the runs' scenario and tree in target. Returns True when all are as expected.

    The first result of a test counts. Of the scenario itself the last one
    does: when a test killed the guest, the run without it says whether the
    rest is right.
    """
    new = {}
    for run in runs:
        for e in read(run):
            if e['id'] == 'scenario' or e['id'] not in new:
                new[e['id']] = e
    new = list(new.values())
    keys = {(e['scenario'], e['tree']) for e in new}
    with open(Path(target).with_suffix('.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)        # guests run side by side
        kept = [e for e in read(target) if (e['scenario'], e['tree']) not in keys]
        tmp = Path(target).with_suffix('.new')
        tmp.write_text(json.dumps(kept + new, indent=1) + '\n')
        tmp.replace(target)
    return bool(new) and all(good(e) for e in new)


def good(e):
    """True when a result is what was expected."""
    return e['status'] == e['expected']


def of_trees(path):
    """The list in `path` without the mutants' results."""
    return [e for e in read(path) if not e['tree'].startswith('mutant:')]


def count(entries):
    """(passed, failed, skipped)."""
    c = Counter('failed' if not good(e) else 'skipped' if e['status'] == 'skip' else 'passed' for e in entries)
    return c['passed'], c['failed'], c['skipped']


def table(entries):
    """Lines of a Markdown table: tests whose result differs between base and stack, then the counts."""
    by = {}
    for e in entries:
        if e['tree'] in ('base', 'stack'):
            by.setdefault((e['scenario'], e['id']), {})[e['tree']] = e['status']
    both = {k: v for k, v in by.items() if len(v) == 2}
    yield '| scenario | test | v7.3 | stack |'
    yield '|---|---|---|---|'
    differ = {k: v for k, v in both.items() if v['base'] != v['stack']}
    for (scenario, test), v in sorted(differ.items()):
        # The scenario itself ends as one of its tests did, unless the guest did not get to any.
        if test != 'scenario' or [s for s, _ in differ].count(scenario) == 1:
            yield f"| {scenario} | {test} | {v['base']} | {v['stack']} |"
    same = Counter(v['base'] for v in both.values() if v['base'] == v['stack'])
    yield ''
    yield 'The same on both: ' + (', '.join(f'{n} {s}' for s, n in sorted(same.items())) or 'none') + '.'


def main(argv):
    if len(argv) >= 4 and argv[1] == 'merge':
        return 0 if merge(argv[2], argv[3:]) else 1
    elif len(argv) == 6 and argv[1] == 'status':
        for e in read(argv[2]):
            if [e['scenario'], e['tree'], e['id']] == argv[3:]:
                print(e['status'])
    elif len(argv) in (3, 5) and argv[1] == 'count':
        passed, failed, skipped = count(of_trees(argv[2]) if len(argv) == 3 else
                                        [e for e in read(argv[2]) if [e['scenario'], e['tree']] == argv[3:]])
        print(f'{passed} passed, {failed} failed, {skipped} skipped')
        return 1 if failed else 0
    elif len(argv) == 3 and argv[1] == 'failures':
        for e in of_trees(argv[2]):
            if not good(e):
                print(f"{e['scenario']} on {e['tree']}: {e['id']}: {e['status']}, expected {e['expected']}")
                for line in e.get('console', []):
                    print(f'    | {line}')
    elif len(argv) == 3 and argv[1] == 'table':
        print('\n'.join(table(read(argv[2]))))
    else:
        print('results.py: ' + __doc__.split('\n\n')[1], file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
