#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Read nested KTAP as kselftest prints it, down to the innermost results.

kselftest wraps results in results: a program's "ok 3 fixture.test" reaches the
console as "# # ok 3 fixture.test" below "# ok 1 selftests: mm: ksft_x.sh".
The outer lines say "ok" even when every inner test was skipped, so only the
innermost lines count here. Format: Documentation/dev-tools/ktap.rst.
"""

import re
from dataclasses import dataclass, field

_RESULT = re.compile(r'^(not ok|ok) (\d+) ?(?:- )?(.*?)(?:\s+# ([A-Z]+)\b.*)?$')
_PLAN = re.compile(r'^1\.\.(\d+)')
_RUN = re.compile(r'^\s*RUN\s+(\S+) \.\.\.$')


@dataclass
class Level:
    """What was seen at one nesting depth since its last enclosing result."""
    plan: int | None = None
    seen: int = 0


@dataclass
class Ktap:
    """Feed console lines in order; results collects (name, status) of leaves.

    status is pass, fail or skip. running is the test that has begun and not
    ended, or None. problems lists what makes the output incomplete.
    """
    results: list = field(default_factory=list)
    problems: list = field(default_factory=list)
    running: str | None = None
    _levels: dict = field(default_factory=dict)

    def feed(self, line):
        """Take one console line. Returns the (name, status) it added, or None."""
        depth = 0
        while line.startswith('# '):
            line = line[2:]
            depth += 1
        run = _RUN.match(line)
        if run:
            self.running = run.group(1)
            return None
        plan = _PLAN.match(line)
        if plan:
            # A plan comes before its results or, as run_vmtests.sh does, after.
            if self._levels.setdefault(depth, Level()).plan is not None:
                self._close_below(depth - 1)
            self._levels.setdefault(depth, Level()).plan = int(plan.group(1))
            return None
        result = _RESULT.match(line)
        if not result:
            return None
        inner = [d for d in self._levels if d > depth and self._levels[d].seen]
        self._close_below(depth)
        self._levels.setdefault(depth, Level()).seen += 1
        ok, _, name, directive = result.groups()
        if directive == 'SKIP':
            status = 'skip'
        elif ok == 'ok' and directive != 'TIMEOUT':
            status = 'pass'
        else:
            status = 'fail'
        if inner:
            return None     # a summary of results that were counted already
        self.running = None
        self.results.append((name, status))
        return self.results[-1]

    def finish(self):
        """Call at the end of the output: checks the plans still open."""
        self._close_below(-1)
        return self.problems

    def _close_below(self, depth):
        for d in [d for d in self._levels if d > depth]:
            level = self._levels.pop(d)
            if level.plan is not None and level.plan != level.seen:
                self.problems.append(f'a plan of {level.plan} tests, {level.seen} results')
