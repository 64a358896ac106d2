#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What scripts/profile-plugin.c has counted, by function.

The guest makes the system call MARK before and after an operation, and names it then.
"""

from bisect import bisect_right
from pathlib import Path

MARK = '__x64_sys_personality'


def symbols(system_map):
    """Addresses of functions, ascending, and their names."""
    found = []
    for line in Path(system_map).read_text().splitlines():
        address, kind, name = line.split()
        if kind in 'tT':
            found.append((int(address, 16), name))
    found.sort(key=lambda s: s[0])
    return [a for a, _ in found], [n for _, n in found]


def mark(system_map):
    """Address of the system call, hexadecimal; None if the kernel does not have it."""
    addresses, names = symbols(system_map)
    return f'{addresses[names.index(MARK)]:x}' if MARK in names else None


def by_function(counts, system_map, operations):
    """{operation: {function: instructions}} of the file that the plugin wrote.

    Raises ValueError when there are not as many counts as operations.
    """
    addresses, names = symbols(system_map)
    profiles, current = [], {}
    for line in Path(counts).read_text().splitlines():
        if line == 'end':
            profiles.append(current)
            current = {}
            continue
        address, instructions = line.split()
        name = names[bisect_right(addresses, int(address, 16)) - 1]
        current[name] = current.get(name, 0) + int(instructions)
    if len(profiles) != len(operations):
        raise ValueError(f'{counts} has {len(profiles)} counts, but there were {len(operations)} operations')
    return dict(zip(operations, profiles))
