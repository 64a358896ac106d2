#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of ktap.py and results.py: what makes a run fail must not be missed."""

import json
import tempfile
import unittest
from pathlib import Path

import results
from ktap import Ktap


def parse(text):
    k = Ktap()
    for line in text.strip('\n').split('\n'):
        k.feed(line)
    return k.results, k.finish()


NESTED = """
TAP version 13
1..1
# selftests: mm: ksft_memory_hotplug.sh
# TAP version 13
# # TAP version 13
# # 1..2
# # #  RUN           memory_hotplug.zones ...
# # #            OK  memory_hotplug.zones
# # ok 1 memory_hotplug.zones
# # ok 2 memory_hotplug.slab # SKIP no slab
# # # PASSED: 2 / 2 tests passed.
# ok 1 memory_hotplug
# 1..1
ok 1 selftests: mm: ksft_memory_hotplug.sh
"""


class TestKtap(unittest.TestCase):
    def test_only_the_innermost_results_count(self):
        found, problems = parse(NESTED)
        self.assertEqual(found, [('memory_hotplug.zones', 'pass'), ('memory_hotplug.slab', 'skip')])
        self.assertEqual(problems, [])

    def test_a_skip_inside_an_ok_is_seen(self):
        self.assertIn(('memory_hotplug.slab', 'skip'), parse(NESTED)[0])

    def test_failure_and_timeout(self):
        found, _ = parse('not ok 1 a\nok 2 b # TIMEOUT 45 seconds\nnot ok 3 c # exit=1')
        self.assertEqual([s for _, s in found], ['fail', 'fail', 'fail'])

    def test_a_plan_that_is_not_kept(self):
        found, problems = parse('1..3\nok 1 a\nok 2 b')
        self.assertEqual(len(found), 2)
        self.assertEqual(problems, ['a plan of 3 tests, 2 results'])

    def test_an_inner_plan_that_is_not_kept(self):
        self.assertEqual(parse('# 1..2\n# ok 1 a\nok 1 outer')[1], ['a plan of 2 tests, 1 results'])

    def test_a_plan_may_come_last(self):
        self.assertEqual(parse('# ok 1 a\n# 1..2\nok 1 outer'), ([('a', 'pass')], ['a plan of 2 tests, 1 results']))

    def test_running(self):
        k = Ktap()
        k.feed('# # #  RUN           memory_hotplug.zones ...')
        self.assertEqual(k.running, 'memory_hotplug.zones')
        k.feed('# # ok 1 memory_hotplug.zones')
        self.assertIsNone(k.running)

    def test_other_output_is_no_result(self):
        self.assertEqual(parse('ok, done\n[    1.0] ok 1\nnot ok')[0], [])


class TestResults(unittest.TestCase):
    def entry(self, status, expected='pass', **more):
        return {'id': 'a', 'scenario': 's', 'tree': 'stack', 'status': status, 'expected': expected} | more

    def test_count(self):
        entries = [self.entry('pass'), self.entry('skip'), self.entry('skip', 'skip'), self.entry('fail', 'fail'),
                   self.entry('pass', 'fail')]
        self.assertEqual(results.count(entries), (2, 2, 1))

    def test_mutants_do_not_count(self):
        with tempfile.TemporaryDirectory() as d:
            path = Path(d) / 'all.json'
            path.write_text(json.dumps([self.entry('pass'), self.entry('fail', tree='mutant:m')]))
            self.assertEqual(results.count(results.of_trees(path)), (1, 0, 0))

    def test_merge_replaces_what_was_run_again_and_keeps_the_rest(self):
        with tempfile.TemporaryDirectory() as d:
            target, run = Path(d) / 'all.json', Path(d) / 'run.json'
            target.write_text(json.dumps([self.entry('fail'), self.entry('pass', tree='base')]))
            run.write_text(json.dumps([self.entry('pass')]))
            self.assertTrue(results.merge(target, [run]))
            self.assertEqual(results.count(results.read(target)), (2, 0, 0))

    def test_an_empty_run_is_a_failure(self):
        with tempfile.TemporaryDirectory() as d:
            self.assertFalse(results.merge(Path(d) / 'all.json', [Path(d) / 'none.json']))

    def test_the_test_that_killed_the_guest_keeps_its_result(self):
        with tempfile.TemporaryDirectory() as d:
            first, second = Path(d) / '1.json', Path(d) / '2.json'
            first.write_text(json.dumps([self.entry('hang', id='t'), self.entry('hang', id='scenario')]))
            second.write_text(json.dumps([self.entry('pass', id='u'), self.entry('pass', id='scenario')]))
            results.merge(Path(d) / 'all.json', [first, second])
            self.assertEqual({e['id']: e['status'] for e in results.read(Path(d) / 'all.json')},
                             {'t': 'hang', 'u': 'pass', 'scenario': 'pass'})


if __name__ == '__main__':
    unittest.main()
