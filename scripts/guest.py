#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Boot one guest for one scenario and judge what it did.

usage: guest.py SCENARIO.toml --tree TREE --kernel IMAGE --initramfs FILE
                --out DIR [--shell] [--exclude TEST]... [--only TEST]
                [--profile PLUGIN SYSTEM.MAP]

Writes DIR/console.log, DIR/qemu.txt (the command line), DIR/results.json (one
entry a test, with the last console lines of one that is not as expected),
DIR/bench.json (figures the guest printed), with --profile DIR/profile.json (the
instructions of each operation by function, see profile_counts.py) and, when the guest died during a
test, DIR/killer (its name). Exit status: 0
when every result is the expected one, 1 when not, 2 for wrong input.

The format of scenario files is described in Documentation/testing.md.
"""

import argparse
import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import tomllib
import tty
from fnmatch import fnmatch
from hashlib import sha256
from pathlib import Path

from qemu.qmp import QMPClient, QMPError

import profile_counts
from ktap import Ktap

MACHINES = {
    'x86_64': {
        'qemu': 'qemu-system-x86_64', 'console': 'ttyS0',
        'machine': 'q35', 'cpu': 'max', 'ost': True,
    },
    'ppc64le': {
        'qemu': 'qemu-system-ppc64', 'console': 'hvc0',
        'machine': 'pseries,cap-htm=off,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken',
        'cpu': 'POWER8', 'ost': False,
    },
    'arm64': {
        'qemu': 'qemu-system-aarch64', 'console': 'ttyAMA0',
        'machine': 'virt', 'cpu': 'max,pauth-impdef=on', 'ost': False,
    },
}

KEYS = {'description', 'arch', 'config', 'smp', 'memory', 'nodes', 'append', 'deadline', 'device',
        'steps', 'guest', 'expect', 'machine', 'cpu', 'icount', 'group', 'profile'}

# Kernel messages that make a run fail, and what each is called.
SPLATS = [
    ('hang', re.compile(r'soft lockup|hard LOCKUP|blocked for more than|rcu.*(self-)?detected stalls?')),
    ('warn', re.compile(r'WARNING: |possible (recursive|circular) locking|suspicious RCU|UBSAN: |'
                        r'INFO: (trying to register|inconsistent lock)|sleeping function called|DEBUG_LOCKS_WARN')),
    ('oops', re.compile(r'BUG: |Oops: |Kernel panic|general protection fault|Unable to handle kernel|'
                        r'kernel BUG at|Bad page state|double fault')),
]
CONSOLE_LINES = 12      # that a result keeps when it is not the expected one
KERNEL_LINE = re.compile(r'^\[ *\d+\.\d+\] ')


class InputError(Exception):
    """Something in the scenario file or on the command line is wrong."""


class StepError(Exception):
    """A host step did not do what the scenario says it does."""


def size(text):
    """'512M', '3G', '64K' or plain bytes -> bytes."""
    m = re.fullmatch(r'(\d+)([KMG]?)', str(text))
    if not m:
        raise InputError(f"'{text}' is no size: a number with K, M or G")
    return int(m.group(1)) << {'': 0, 'K': 10, 'M': 20, 'G': 30}[m.group(2)]


def load(path):
    """Read and check a scenario file. Returns its table with defaults filled in."""
    try:
        s = tomllib.loads(Path(path).read_text())
    except FileNotFoundError:
        raise InputError(f'no scenario file {path}')
    except tomllib.TOMLDecodeError as e:
        raise InputError(f'{path}: {e}')
    unknown = set(s) - KEYS
    if unknown:
        raise InputError(f"{path}: unknown key '{sorted(unknown)[0]}'")
    for key in ('description', 'arch', 'guest'):
        if key not in s:
            raise InputError(f"{path}: '{key}' is missing")
    if s['arch'] not in MACHINES:
        raise InputError(f"{path}: unknown arch '{s['arch']}': one of {', '.join(MACHINES)}")
    for key, value in {'config': s['arch'], 'smp': 2, 'memory': '1G', 'nodes': [], 'append': '', 'deadline': 120,
                       'device': [], 'steps': {}, 'expect': {}, 'icount': False, 'profile': False,
                       'machine': MACHINES[s['arch']]['machine'], 'cpu': MACHINES[s['arch']]['cpu']}.items():
        s.setdefault(key, value)
    return s


def known_failures(scenario):
    """{test: status} that configs/known-failures lists for a scenario."""
    known = {}
    path = Path(__file__).resolve().parent.parent / 'configs/known-failures'
    for number, line in enumerate(path.read_text().splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith('#'):
            continue
        if len(words) < 4:
            raise InputError(f'{path}:{number}: a known failure needs scenario, test, status and reason')
        if fnmatch(scenario, words[0]):
            known[words[1]] = words[2]
    return known


def accelerator():
    """TCG, unless ACCEL=kvm asks for KVM."""
    accel = os.environ.get('ACCEL') or 'tcg'
    if accel not in ('tcg', 'kvm'):
        raise InputError(f"ACCEL is '{accel}': tcg or kvm")
    return accel


def bare_metal(s):
    """A powernv machine has no DIMMs to plug, and QEMU does not end when it powers off."""
    return s['machine'].startswith('powernv')


def command(s, args, qmp):
    """The QEMU command line of scenario s, as a list."""
    m = MACHINES[s['arch']]
    accel = accelerator()
    boot = size(s['memory'])
    # The end of the last DIMM that has an address, or room for those to come.
    limit = max([boot + (96 << 30)] + [size(d.get('addr', 0)) + size(d.get('size', 0)) for d in s['device']])
    cmd = [m['qemu'], '-accel', accel, '-M', s['machine'], '-cpu', s['cpu'] if accel == 'tcg' else 'host',
           '-m', f'{boot >> 20}M' + ('' if bare_metal(s) else f',slots=16,maxmem={limit >> 20}M'),
           '-smp', str(s['smp']),
           '-nodefaults', '-display', 'none', '-no-reboot', '-serial', 'stdio',
           '-qmp', f'unix:{qmp},server=on,wait=off']
    if s['icount'] and accel == 'tcg':
        cmd += ['-icount', 'shift=0,sleep=off']
    if args.profile and accel == 'tcg':
        if not s['icount']:
            raise InputError(f"{args.scenario}: profile needs icount")
        plugin, system_map = args.profile
        cmd += ['-plugin', f'{plugin},mark={profile_counts.mark(system_map)},out={args.out}/profile']
    # RAM that the guest never touches takes none of the host's.
    if not s['nodes']:
        cmd += ['-object', f'memory-backend-ram,id=ram,size={boot},reserve=off', '-machine', 'memory-backend=ram']
    for n, amount in enumerate(s['nodes']):
        node = f'node,nodeid={n}' + (f',cpus=0-{s["smp"] - 1}' if n == 0 else '')
        if size(amount):
            cmd += ['-object', f'memory-backend-ram,id=node{n},size={size(amount)},reserve=off']
            node += f',memdev=node{n}'
        cmd += ['-numa', node]
    for d in s['device']:
        if d['kind'] == 'virtio-balloon':
            cmd += ['-device', f"virtio-balloon-pci,id={d['id']}"]
            continue
        cmd += ['-object', f"memory-backend-ram,id=mem-{d['id']},size={size(d['size'])}"]
        node = f",node={d['node']}" if 'node' in d else ''
        if d['kind'] == 'dimm':
            addr = f",addr={size(d['addr'])}" if 'addr' in d else ''
            cmd += ['-device', f"pc-dimm,id={d['id']},memdev=mem-{d['id']}{node}{addr}"]
        elif d['kind'] == 'virtio-mem':
            cmd += ['-device', f"virtio-mem-pci,id={d['id']},memdev=mem-{d['id']},"
                    f"requested-size={size(d.get('requested', 0))}{node}"]
        else:
            raise InputError(f"device {d['id']}: unknown kind '{d['kind']}': dimm, virtio-mem or "
                             'virtio-balloon')
    append = f"console={m['console']} loglevel=5 panic=-1 panic_on_warn=1 oops=panic {s['append']}"
    if args.shell:
        append += ' memhp.shell'
    if args.exclude:
        append += ' memhp.exclude=' + ','.join(args.exclude)
    if args.only:
        append += ' memhp.only=' + args.only
    if seed := os.environ.get('SEED'):
        if not seed.isdigit():
            raise InputError(f"SEED is '{seed}': a number")
        append += ' memhp.seed=' + seed
    return cmd + ['-kernel', args.kernel, '-initrd', args.initramfs, '-append', append]


class Guest:
    """One run of one scenario."""

    def __init__(self, s, args):
        self.s, self.args = s, args
        self.ktap = Ktap()
        self.name = Path(args.scenario).stem
        self.entries, self.figures, self.operations = [], [], []
        self.lines = []             # the console since the last result
        self.splat = None           # (status, line, test) of the first kernel complaint
        self.finished = False
        self.check = None           # the scenario's own check that is running
        self.began = time.monotonic()
        self.last = self.began
        self.events = asyncio.Queue()
        self.known = known_failures(self.name)

    # -- results ---------------------------------------------------------

    def expected(self, test):
        """What is expected of a test on this tree: pass, unless the scenario (for base) or known-failures says else."""
        if test == 'scenario' and self.args.only:
            test = self.args.only       # the guest ends as its only test does
        if self.args.tree == 'base' and test in self.s['expect'].get('base', {}):
            return self.s['expect']['base'][test]
        return self.known.get(test, 'pass')

    def record(self, test, status):
        """Add one result. Time is counted from the previous result."""
        if self.splat and self.splat[2] == test and status in ('pass', 'fail', 'skip'):
            status = self.splat[0]
        now = time.monotonic()
        entry = {'id': test, 'scenario': self.name, 'tree': self.args.tree, 'arch': self.s['arch'],
                 'status': status, 'expected': self.expected(test), 'seconds': round(now - self.last, 1)}
        self.last = now
        self.entries.append(entry)
        sign = 'ok' if status == entry['expected'] else 'NOT OK'
        if sign != 'ok':
            entry['console'] = self.lines[-CONSOLE_LINES:]
        self.lines = []
        note = '' if status == 'pass' and sign == 'ok' else f" ({status}, expected {entry['expected']})"
        print(f"    {sign:6} {test}{note} [{entry['seconds']} s]", flush=True)
        for line in entry.get('console', []):
            print(f'           | {line}', flush=True)

    def check_kernel(self, version):
        """Is the kernel that runs the one that was asked for? scripts/kernel gives each a host name of its own."""
        made_of = Path(self.args.kernel + '.made-of')
        if made_of.exists() and f'@{sha256(made_of.read_bytes()).hexdigest()[:16]})' not in version:
            raise InputError(f'{self.args.kernel} is not what it was made of, remove it: {version}')

    def current(self):
        """The test that runs now, or None."""
        return self.ktap.running or self.check

    # -- the console -----------------------------------------------------

    def line(self, text):
        """Judge one console line; returns the name of the host step it asks for, if any."""
        self.lines.append(text)
        if KERNEL_LINE.match(text):
            for status, pattern in SPLATS:
                if self.splat is None and pattern.search(text):
                    self.splat = (status, text, self.current())
                    print(f"    {status} during {self.current() or 'the scenario'}: {text}", flush=True)
            return None
        words = text.split()
        if len(words) >= 2 and words[0] == 'MEMHP':
            if words[1] == 'host':
                return words[2]
            if words[1] == 'kernel':
                self.check_kernel(text)
            if words[1] == 'begin':
                self.check = words[2]
            elif words[1] == 'end':
                self.record(words[2], 'pass' if words[3] == '0' else 'fail')
                self.check = None
            elif words[1] == 'bench':
                # A nanosecond of the guest's clock is an instruction with icount only.
                unit = words[4] if accelerator() == 'tcg' else words[4].replace('instructions', 'ns')
                self.figures.append({'op': words[2], 'value': float(words[3]), 'unit': unit})
            elif words[1] == 'profile':
                self.operations.append(words[2])
            elif words[1] == 'finished':
                self.finished = True
            return None
        added = self.ktap.feed(text)
        if added:
            self.record(*added)
        return None

    # -- host steps ------------------------------------------------------

    async def event(self, names, device, accept=lambda data: True):
        """Wait for the next QMP event of one of these names about this device."""
        while True:
            e = await self.events.get()
            data = e.get('data', {})
            if 'info' in data:
                data = data['info']
            if e['event'] in names and data.get('device', device) in (device, '') and accept(data):
                return e['event'], data

    async def step(self, qmp, todo):
        """Run one action of a step and see it confirmed by QEMU."""
        wants = todo.get('expect', 'done')
        while not self.events.empty():
            self.events.get_nowait()
        ost = MACHINES[self.s['arch']]['ost']
        if 'plug' in todo:
            name = todo['plug']
            await qmp.execute('object-add', {'qom-type': 'memory-backend-ram', 'id': f'mem-{name}',
                                             'size': size(todo['size'])})
            device = {'driver': 'pc-dimm', 'id': name, 'memdev': f'mem-{name}'}
            if 'node' in todo:
                device['node'] = todo['node']
            try:
                await qmp.execute('device_add', device)
            except QMPError:
                await qmp.execute('object-del', {'id': f'mem-{name}'})
                raise
            outcome = 'done'
            if ost:
                _, data = await self.event({'ACPI_DEVICE_OST'}, name, lambda d: d.get('source') == 1)
                outcome = 'done' if data['status'] == 0 else 'refused'
        elif 'unplug' in todo:
            name = todo['unplug']
            await qmp.execute('device_del', {'id': name})
            # A guest that refuses says so with an OST status or an error event.
            event, _ = await self.event(
                {'DEVICE_DELETED', 'MEM_UNPLUG_ERROR', 'DEVICE_UNPLUG_GUEST_ERROR', 'ACPI_DEVICE_OST'}, name,
                lambda d: d.get('status', 1) not in (0, 132))
            outcome = 'done' if event == 'DEVICE_DELETED' else 'refused'
            if outcome == 'done':
                await qmp.execute('object-del', {'id': f'mem-{name}'})
        elif 'resize' in todo:
            name, want = todo['resize'], size(todo['to'])
            await qmp.execute('qom-set', {'path': f'/machine/peripheral/{name}', 'property': 'requested-size',
                                          'value': want})
            outcome = 'done'
            while await qmp.execute('qom-get', {'path': f'/machine/peripheral/{name}', 'property': 'size'}) != want:
                await self.events.get()
        elif 'balloon' in todo:
            # QEMU counts what the guest has left, of RAM, DIMMs and virtio-mem.
            memory = await qmp.execute('query-memory-size-summary')
            want = memory['base-memory'] + memory.get('plugged-memory', 0) - size(todo['balloon'])
            await qmp.execute('balloon', {'value': want})
            outcome = 'done'
            while (await qmp.execute('query-balloon'))['actual'] != want:
                await self.events.get()
        else:
            raise StepError(f'a step has no action that is known: {todo}')
        if outcome != wants:
            raise StepError(f'{todo}: {outcome}')

    async def run_step(self, qmp, name):
        """Run step `name`, tell the guest, record it as a result of its own."""
        test = f'host.{name}'
        self.check = test
        try:
            if name not in self.s['steps']:
                raise StepError(f'the scenario has no step {name}')
            for todo in self.s['steps'][name]:
                await self.step(qmp, todo)
        except (StepError, QMPError) as e:
            print(f'    {test}: {e}', flush=True)
            self.record(test, 'fail')
        else:
            self.record(test, 'pass')
        self.check = None
        self.proc.stdin.write(f'done {name}\n'.encode())
        await self.proc.stdin.drain()

    # -- the run ---------------------------------------------------------

    async def collect_events(self, qmp):
        async for e in qmp.events:
            self.events.put_nowait(e)

    async def console(self, qmp, log):
        """Read the console until QEMU ends; in a shell, pass it on to the terminal."""
        steps, pending = set(), b''
        while True:
            data = await self.proc.stdout.read(4096)
            if not data:
                break
            log.write(data)
            log.flush()
            if self.args.shell:
                os.write(1, data)
            pending += data
            *lines, pending = pending.split(b'\n')
            for raw in lines:
                text = raw.decode(errors='replace').rstrip('\r')
                wanted = self.line(text)
                if bare_metal(self.s) and 'reboot: Power down' in text:
                    await qmp.execute('quit')
                if wanted:
                    task = asyncio.create_task(self.run_step(qmp, wanted))
                    steps.add(task)
                    task.add_done_callback(steps.discard)
        for task in steps:
            task.cancel()
        await self.proc.wait()

    async def run(self):
        """Boot the guest, see it through, return True when all is as expected."""
        for number in signal.SIGTERM, signal.SIGHUP:    # end QEMU, too
            asyncio.get_running_loop().add_signal_handler(number, asyncio.current_task().cancel)
        out = Path(self.args.out)
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        tmp = tempfile.mkdtemp(prefix='memhp-')     # short: a socket's path has 107 characters at most
        try:
            combined = Path(tmp) / 'initramfs'
            with open(combined, 'wb') as f:
                archive = Path(self.args.initramfs).read_bytes()
                f.write(archive + bytes(-len(archive) % 4))     # the second archive must be aligned
                f.write(scenario_archive(self.s['guest']))
            self.args.initramfs = str(combined)
            cmd = command(self.s, self.args, f'{tmp}/qmp')
            (out / 'qemu.txt').write_text(shlex.join(cmd) + '\n')
            await self.boot(cmd, f'{tmp}/qmp', out)
        finally:
            shutil.rmtree(tmp)
        if self.args.shell:
            return True
        (out / 'results.json').write_text(json.dumps(self.entries, indent=1) + '\n')
        (out / 'bench.json').write_text(json.dumps(self.figures, indent=1) + '\n')
        if self.args.profile and accelerator() == 'tcg':
            profile = profile_counts.by_function(out / 'profile', self.args.profile[1], self.operations)
            (out / 'profile.json').write_text(json.dumps(profile, indent=1) + '\n')
        return all(e['status'] == e['expected'] for e in self.entries)

    async def boot(self, cmd, socket, out):
        self.proc = await asyncio.create_subprocess_exec(
            *cmd, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        qmp = QMPClient(self.name)
        qmp.logger.setLevel('CRITICAL')
        verdict = None
        helpers = []
        try:
            while self.proc.returncode is None:
                try:
                    await qmp.connect(socket)
                    break
                except QMPError:
                    await asyncio.sleep(0.05)       # QEMU has not made its socket yet
            helpers.append(asyncio.create_task(self.collect_events(qmp)))
            if self.args.shell:
                forward_terminal(self.proc.stdin)
            with open(out / 'console.log', 'wb') as log:
                await asyncio.wait_for(self.console(qmp, log), None if self.args.shell else self.s['deadline'])
        except asyncio.TimeoutError:
            verdict = 'hang'
        finally:
            for task in helpers:
                task.cancel()
            if self.proc.returncode is None:
                self.proc.kill()
                await self.proc.wait()
            try:
                await qmp.disconnect()
            except (QMPError, EOFError, OSError):
                pass        # QEMU closes the socket when the guest powers off
        if not self.args.shell:
            self.judge(verdict)

    def judge(self, verdict):
        """Turn the end of the run into results: of the test it happened in, and of the scenario."""
        where = self.current()
        if not self.finished:
            if verdict:
                print(f"    {verdict} during {where or 'the scenario'}: no end within {self.s['deadline']} s", flush=True)
            if where:
                self.record(where, self.splat[0] if self.splat else verdict or 'fail')
                (Path(self.args.out) / 'killer').write_text(where + '\n')
        if self.splat or verdict:
            self.record('scenario', self.splat[0] if self.splat else verdict)
            return
        problems = [] if self.finished else ['the guest ended before the scenario did']
        problems += self.ktap.finish()
        for p in problems:
            print(f'    {p}', flush=True)
        self.record('scenario', 'fail' if problems else 'pass')


def scenario_archive(script):
    """A second initramfs that holds /scenario alone; the kernel unpacks both."""
    with tempfile.TemporaryDirectory() as d:
        (Path(d) / 'scenario').write_text(script)
        return subprocess.run(['cpio', '-o', '-H', 'newc', '--quiet', '-R', '0:0'], input=b'scenario\n', cwd=d,
                              stdout=subprocess.PIPE, check=True).stdout


def forward_terminal(stdin):
    """Pass the keys of a person's terminal on to the guest, unprocessed."""
    if sys.stdin.isatty():
        import atexit
        saved = termios.tcgetattr(0)
        atexit.register(termios.tcsetattr, 0, termios.TCSADRAIN, saved)
        tty.setraw(0)

    def keys():
        data = os.read(0, 1024)
        if data:
            stdin.write(data)
        else:
            asyncio.get_running_loop().remove_reader(0)
    asyncio.get_running_loop().add_reader(0, keys)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('scenario')
    parser.add_argument('--tree', default='stack')
    parser.add_argument('--kernel', required=True)
    parser.add_argument('--initramfs', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('--shell', action='store_true')
    parser.add_argument('--exclude', action='append', default=[])
    parser.add_argument('--only')
    parser.add_argument('--profile', nargs=2)
    args = parser.parse_args()
    try:
        s = load(args.scenario)
        ok = asyncio.run(Guest(s, args).run())
    except InputError as e:
        print(f'guest.py: {e}', file=sys.stderr)
        return 2
    except asyncio.CancelledError:
        print(f'guest.py: {Path(args.scenario).stem}: ended by a signal', file=sys.stderr)
        return 2
    return 0 if ok else 1


if __name__ == '__main__':
    sys.exit(main())
