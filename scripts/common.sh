# SPDX-License-Identifier: GPL-2.0
# Sourced by the shell scripts in this directory: paths, messages, small checks.
# Sets: top (the repository), build (generated files), JOBS (parallel jobs of make),
# GUESTS (guests at a time).

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$top/build
: "${JOBS:=$(nproc)}"
: "${GUESTS:=2}"
export LC_ALL=C.UTF-8
export PYTHONPATH=$build/tools/usr/lib/python3/dist-packages
export PYTHONDONTWRITEBYTECODE=1
mkdir -p "$build"

# die MESSAGE: one line that says what is wrong and what to do; exit status 1.
die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

# say MESSAGE: progress for the person at the terminal.
say()
{
	echo "[memhp] $*" >&2
}

# side_by_side COMMAND... [::: ARGUMENTS...]...: GNU parallel, GUESTS at a time.
# Each line of the output begins with the arguments. Fails when one fails.
side_by_side()
{
	[[ $GUESTS =~ ^[1-9][0-9]*$ ]] || die "GUESTS is '$GUESTS': a number"
	parallel --will-cite --no-run-if-empty --line-buffer --tag --jobs "$GUESTS" "$@"
}

# lock NAME: wait until no other script holds the lock NAME; it is held until this
# shell, or the subshell that called, ends.
lock()
{
	local fd
	mkdir -p "$build/locks"
	exec {fd}>"$build/locks/$1"
	flock "$fd"
}

# need_space MIB: refuse to start what would fill the disk.
need_space()
{
	local have
	have=$(df -Pm "$build" | awk 'NR == 2 { print $4 }')
	[ "$have" -ge "$1" ] ||
		die "$build has $have MiB free, $1 MiB are needed: make room and run it again"
}

# base_line NAME: the line of configs/base for NAME, or a message.
base_line()
{
	local line
	line=$(awk -v n="$1" '$1 == n' "$top/configs/base")
	[ -n "$line" ] ||
		die "unknown BASE '$1': configs/base has $(awk '!/^#/ && NF { printf "%s%s", s, $1; s = ", " }' "$top/configs/base")"
	echo "$line"
}

# topics: the topic names of the series file, in order.
topics()
{
	sed -n 's/^# topic: \([^ ]*\) -- .*/\1/p' "$top/series"
}

# Git as a person would use it, but the same on every machine.
export GIT_CONFIG_NOSYSTEM=1
export GIT_CONFIG_COUNT=4
export GIT_CONFIG_KEY_0=advice.detachedHead GIT_CONFIG_VALUE_0=false
export GIT_CONFIG_KEY_1=init.defaultBranch GIT_CONFIG_VALUE_1=stack
export GIT_CONFIG_KEY_2=gc.auto GIT_CONFIG_VALUE_2=0
export GIT_CONFIG_KEY_3=core.abbrev GIT_CONFIG_VALUE_3=12
