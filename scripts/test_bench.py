#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of the scripts behind make bench: a figure that got worse must not be missed."""

import contextlib
import io
import json
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from unittest import mock


def load(name):
    """A script of this directory, as a module."""
    loader = SourceFileLoader(name.replace('-', '_'), str(Path(__file__).resolve().parent / name))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


join, judge, native = load('bench-join'), load('bench-judge'), load('bench-native')


class TestJudge(unittest.TestCase):
    def judged(self, stack, unit='instructions', op='offline', base=1000.0, recorded='offline 100.0\n', expect=''):
        """Whether a figure is fine, and what is said about it."""
        with tempfile.TemporaryDirectory() as d, contextlib.redirect_stdout(io.StringIO()) as said:
            judge.RECORDED, judge.EXPECT = Path(d) / 'recorded', Path(d) / 'expect'
            judge.RECORDED.write_text(judge.HEAD + recorded)
            judge.EXPECT.write_text(expect)
            fine = judge.judge([{'op': op, 'unit': unit, 'base': base, 'stack': stack}])
        return fine, said.getvalue()

    def test_as_recorded(self):
        self.assertTrue(self.judged(100.0)[0])

    def test_two_percent_more(self):
        self.assertTrue(self.judged(102.0)[0])

    def test_more_than_two_percent_more(self):
        fine, said = self.judged(102.1)
        self.assertFalse(fine)
        self.assertIn('NOT OK offline', said)

    def test_less_is_fine_and_named(self):
        fine, said = self.judged(50.0)
        self.assertTrue(fine)
        self.assertIn('50.0 % less', said)

    def test_per_page_counts(self):
        self.assertFalse(self.judged(103.0, unit='instructions/page')[0])

    def test_time_does_not(self):
        self.assertTrue(self.judged(200.0, unit='ns/page')[0])

    def test_what_is_not_recorded_fails(self):
        self.assertFalse(self.judged(100.0, recorded='')[0])

    def test_what_is_not_measured_does_not(self):
        self.assertTrue(self.judged(100.0, recorded='offline 100.0\nonline 7.0\n')[0])

    def test_expected_saving(self):
        self.assertTrue(self.judged(100.0, expect='offline 10\n')[0])
        self.assertFalse(self.judged(100.0, expect='offline 10.1\n')[0])

    def test_expected_and_not_measured(self):
        self.assertFalse(self.judged(100.0, expect='online 2\n')[0])

    def test_another_compiler_is_named(self):
        said = self.judged(200.0, recorded=judge.COMPILER + 'gcc 1.0\noffline 100.0\n')[1]
        self.assertIn('recorded with gcc 1.0', said)

    def test_record_and_judge(self):
        with tempfile.TemporaryDirectory() as d, contextlib.redirect_stdout(io.StringIO()):
            judge.RECORDED, judge.EXPECT = Path(d) / 'recorded', Path(d) / 'expect'
            judge.EXPECT.write_text('')
            entry = {'op': 'offline', 'unit': 'instructions', 'base': 2.0, 'stack': 100.0}
            judge.record([entry, {**entry, 'op': 'flushes', 'unit': 'flushes'}])
            self.assertEqual(judge.pairs(judge.RECORDED), {'offline': 100.0})
            self.assertTrue(judge.judge([entry]))
            self.assertFalse(judge.judge([{**entry, 'stack': 103.0}]))


class TestJoin(unittest.TestCase):
    def joined(self, **sides):
        """Exit status, and what was written."""
        with tempfile.TemporaryDirectory() as d, contextlib.redirect_stderr(io.StringIO()), \
                contextlib.redirect_stdout(io.StringIO()):
            arguments = []
            for side, figures in sides.items():
                (Path(d) / side).write_text(json.dumps(figures))
                arguments.append(f'{side}={d}/{side}')
            out = Path(d) / 'out'
            status = join.main(['bench-join', str(out), *arguments])
            return status, json.loads(out.read_text()) if out.exists() else None

    def test_two_sides(self):
        status, rows = self.joined(base=[{'op': 'a', 'unit': 'u', 'value': 1.0}],
                                   stack=[{'op': 'a', 'unit': 'u', 'value': 2.0}])
        self.assertEqual((status, rows), (0, [{'op': 'a', 'unit': 'u', 'base': 1.0, 'stack': 2.0}]))

    def test_one_side_is_missing(self):
        self.assertEqual(self.joined(base=[{'op': 'a', 'unit': 'u', 'value': 1.0}]), (1, None))

    def test_both_keeps_what_it_has(self):
        entry = {'op': 'a', 'unit': 'u', 'base': 1.0, 'stack': 2.0, 'floor': 0.5}
        self.assertEqual(self.joined(both=[entry]), (0, [entry]))


class TestNative(unittest.TestCase):
    def test_too_little_memory(self):
        with mock.patch.object(native, 'NEED_MIB', 1 << 40), self.assertRaisesRegex(native.Problem, 'MiB are needed'):
            native.check_machine()

    def test_another_architecture(self):
        with mock.patch('platform.machine', return_value='m68k'), self.assertRaisesRegex(native.Problem, 'm68k'):
            native.check_machine()

    def test_entries(self):
        times = {'base': {'generic-2G': [(2.0, 3.0, 10.0), (2.0, 3.0, 12.0), (2.0, 3.0, 11.0)]},
                 'stack': {'generic-2G': [(2.0, 5.0, 4.0), (3.0, 3.0, 4.0), (2.0, 3.0, 90.0)]}}
        entry, = native.entries_of(times)
        self.assertEqual((entry['op'], entry['base'], entry['stack'], entry['floor'], entry['plain']),
                         ('native-online-generic-2G', 11.0, 4.0, 2.0, 3.0))
        self.assertEqual(entry['GB/s'], {'base': 5.82, 'stack': 16.0})

    def test_other_struct_pages(self):
        first = {'generic-2G pages 0': '12', 'generic-2G zone': '34'}
        native.compare('stack', dict(first), first)
        with self.assertRaisesRegex(native.Problem, '1 of 2 parts, the first is generic-2G zone'):
            native.compare('stack', {**first, 'generic-2G zone': '35'}, first)
        with self.assertRaises(native.Problem):
            native.compare('stack', {}, first)

    def test_a_symbol_that_is_not_linked_is_named(self):
        address = native.MISSING + native.MISSING_STEP + 8
        said = native.explain('', ['schedule', 'printk'], f'trap Segmentation fault {address:x} 401000\n')
        self.assertIn('needs printk', said)


if __name__ == '__main__':
    unittest.main()
