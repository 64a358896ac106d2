# SPDX-License-Identifier: GPL-2.0
# Sourced after common.sh by the scripts that turn series and patches/ into
# git commits and back. Needs git only; nothing here writes to series,
# patches/ or build/linux.

# What is in a person's configuration must not change commits or patch bytes.
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY \
	GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_NAMESPACE GIT_DIFF_OPTS GIT_EXTERNAL_DIFF
export GIT_CONFIG_GLOBAL=/dev/null GIT_ATTR_NOSYSTEM=1
export GIT_COMMITTER_NAME=memhp GIT_COMMITTER_EMAIL=memhp@localhost

NOTES=refs/notes/memhp		# commit -> <topic>/<slug>.patch
AM=(-c "core.hooksPath=/dev/null" -c am.threeWay=false
	am -q --no-3way --no-scissors --no-keep-cr --no-gpg-sign --no-signoff
	--whitespace=nowarn --committer-date-is-author-date)

# tmp_dir: make a private directory below build/ (variable tmp), removed at exit.
tmp_dir()
{
	mkdir -p "$build/tmp"
	tmp=$(mktemp -d "$build/tmp/${0##*/}.XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
}

# base_commit NAME: the commit of the unpatched tree in build/base.git.
base_commit()
{
	git --git-dir="$build/base.git" rev-parse -q --verify "refs/tags/base-$1^{commit}" ||
		die "build/base.git has no tag base-$1: run 'make base'"
}

# read_series [TOP]: check the series file of TOP (default: the repository)
# against its patches/ and set the arrays names (entries in order) and
# topic_list. Prints one line per defect and stops if there is any.
read_series()
{
	local dir=${1:-$top} line topic='' bad=0 n
	local -A seen=() seen_topic=()
	names=() topic_list=()
	[ -f "$dir/series" ] || die "there is no series file in $dir"
	mkdir -p "$dir/patches"
	complain() { echo "${0##*/}: series: $*" >&2; bad=1; }
	while IFS= read -r line || [ -n "$line" ]; do
		case $line in
		"# topic:"*)
			if [[ ! $line =~ ^"# topic: "([a-z0-9][a-z0-9._-]*)" -- "[^\ ] ]]; then
				complain "'$line' is not of the form '# topic: <name> -- <tree that takes it>'"
				continue
			fi
			topic=${BASH_REMATCH[1]}
			[ -z "${seen_topic[$topic]:-}" ] || complain "topic $topic is there twice"
			seen_topic[$topic]=1
			topic_list+=("$topic") ;;
		"#"* | "") ;;
		*)
			if [[ ! $line =~ ^[a-z0-9][a-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._+-]*\.patch$ ]]; then
				complain "'$line' is not of the form <topic>/<slug>.patch"
			elif [ "${line%%/*}" != "$topic" ]; then
				complain "$line stands under topic '${topic:-none}'"
			elif [ -n "${seen[$line]:-}" ]; then
				complain "$line is there twice"
			elif [ ! -f "$dir/patches/$line" ]; then
				complain "$line is not in patches/"
			fi
			seen[$line]=1
			names+=("$line") ;;
		esac
	done <"$dir/series"
	while IFS= read -r n; do
		[ -n "${seen[$n]:-}" ] || complain "patches/$n is not in series: add it there or delete it"
	done < <(cd "$dir/patches" && find . -name '*.patch' -printf '%P\n' | LC_ALL=C sort)
	[ $bad = 0 ] || exit 1
}

# touched FILE...: the paths that these patches create, change or delete.
touched()
{
	[ $# = 0 ] || sed -n 's|^diff --git a/.* b/\(.*\)$|\1|p' "$@" | LC_ALL=C sort -u
}

# borrow GITDIR OBJECTS...: let GITDIR read objects from these directories and
# from build/base.git. Paths are rewritten on each run: the repository may move.
borrow()
{
	local git=$1
	shift
	printf '%s\n' "$(realpath "$build/base.git/objects")" "$@" >"$git/objects/info/alternates"
	if [ -e "$build/base.git/shallow" ]; then
		cp "$build/base.git/shallow" "$git/shallow"
	fi
}

# scratch_tree DIR COMMIT OBJECTS PATHS: a private git tree at COMMIT on branch
# stack whose files are only those listed in the file PATHS. OBJECTS (may be
# empty) is the object directory that the commits made in it go to.
scratch_tree()
{
	local dir=$1 commit=$2 objects=$3 paths=$4
	git init -q --template= "$dir"
	mkdir -p "$dir/.git/info"
	if [ -n "$objects" ]; then
		rm -r "$dir/.git/objects"
		ln -s "$objects" "$dir/.git/objects"
	fi
	borrow "$dir/.git"
	git -C "$dir" config core.sparseCheckout true
	git -C "$dir" config core.sparseCheckoutCone false
	git -C "$dir" config index.version 4
	sed 's|[][*?\\!#]|\\&|g; s|^|/|' "$paths" >"$dir/.git/info/sparse-checkout"
	# A list without a pattern would mean: all files.
	echo "/.no-such-file" >>"$dir/.git/info/sparse-checkout"
	git -C "$dir" update-ref --no-deref HEAD "$commit"
	git -C "$dir" read-tree -mu HEAD
}

# small_tree DIR COMMIT PATHS: a private git tree on branch stack whose one
# commit holds nothing but the files of COMMIT listed in the file PATHS. For what
# does not need real commit ids: git is much faster in it than in a whole tree.
small_tree()
{
	local dir=$1 commit=$2 paths=$3 list=()
	mapfile -t list <"$paths"
	git init -q --template= "$dir"
	mkdir -p "$dir/.git/info"
	borrow "$dir/.git"
	git -C "$dir" symbolic-ref HEAD refs/heads/stack
	git -C "$dir" ls-tree -r "$commit" -- .gitattributes "${list[@]}" |
		git -C "$dir" update-index --index-info
	git -C "$dir" update-ref HEAD "$(GIT_AUTHOR_NAME=base GIT_AUTHOR_EMAIL=base@localhost \
		GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' \
		git -C "$dir" commit-tree -m base "$(git -C "$dir" write-tree)")"
	git -C "$dir" tag base
	git -C "$dir" reset -q --hard
}

# am_patches DIR FILE...: git am without fuzz or fallback. Returns 1 with the
# tree at the last commit that worked, and sets am_bad to the index of the file
# that did not apply and am_why to git's reason.
am_patches()
{
	local dir=$1 from count
	shift
	am_bad='' am_why=''
	[ $# != 0 ] || return 0
	from=$(git -C "$dir" rev-parse HEAD)
	if ! am_why=$(git -C "$dir" "${AM[@]}" "$@" 2>&1); then
		am_bad=$(git -C "$dir" rev-list --count "$from..HEAD")
		am_why=$(sed -n 's/^error: //p' <<<"$am_why" | head -n 1)
		git -C "$dir" am --quit 2>/dev/null || true
		git -C "$dir" reset -q --hard
		return 1
	fi
	count=$(git -C "$dir" rev-list --count "$from..HEAD")
	if [ "$count" != $# ]; then
		git -C "$dir" reset -q --hard "$from"
		am_bad=0
		am_why="one of the $# files does not hold exactly one patch"
		return 1
	fi
}

# format_commits OBJECTS BASE TIP OUT: one mail per commit, in order, into OUT.
# A private git directory keeps the configuration of any tree out of the bytes.
format_commits()
{
	local objects=$1 base=$2 tip=$3 out=$4
	local git=$out.git
	git init -q --bare --template= "$git"
	mkdir -p "$git/info" "$out"
	borrow "$git" "$objects"
	git --git-dir="$git" show "$base:.gitattributes" >"$git/info/attributes" 2>/dev/null || true
	git --git-dir="$git" -c core.abbrev=12 -c core.quotePath=true \
		-c diff.algorithm=myers -c diff.indentHeuristic=true -c format.notes=false \
		format-patch -q -N --zero-commit --no-signature --no-base --no-thread \
		--no-renames --stat=72 --summary -p --src-prefix=a/ --dst-prefix=b/ \
		--subject-prefix=PATCH -o "$out" "$base..$tip"
}

# write_stack REPO BASE TIP OUT TOPIC: what series and patches/ have to be for
# the commits BASE..TIP of the git tree REPO, into OUT/series and OUT/patches.
# A commit gets the file its note names, else the file of the old series with
# the same subject, else a new one in TOPIC (may be empty: then it is an error).
write_stack()
{
	local repo=$1 base=$2 tip=$3 out=$4 new_topic=$5
	local commits c i file subject slug old topic n line
	local -A by_subject=() used=() placed=() lead=() topic_of_line=()
	local -a mails list

	[ -z "$(git -C "$repo" rev-list --min-parents=2 "$base..$tip")" ] ||
		die "the stack has a merge commit: rebase it into a line of patches"
	mapfile -t commits < <(git -C "$repo" rev-list --reverse "$base..$tip")
	for c in "${commits[@]}"; do
		subject=$(git -C "$repo" log -1 --format=%s "$c")
		case $subject in
		fixup!* | squash!* | amend!*)
			die "commit ${c:0:12} is '$subject': run 'git -C build/linux rebase -i --autosquash base'" ;;
		esac
		! git -C "$repo" log -1 --format=%B "$c" | grep -qi '^signed-off-by:' ||
			die "commit ${c:0:12} '$subject' has a Signed-off-by line: patches carry none, 'make mbox' adds the sender's"
		! git -C "$repo" diff-tree --quiet "$c^" "$c" ||
			die "commit ${c:0:12} '$subject' changes nothing: drop it"
	done

	format_commits "$(realpath "$repo/.git/objects")" "$base" "$tip" "$out/mails"
	mapfile -t mails < <(find "$out/mails" -name '*.patch' | LC_ALL=C sort)
	[ ${#mails[@]} = ${#commits[@]} ] || die "git format-patch wrote ${#mails[@]} mails for ${#commits[@]} commits"

	for n in "${names[@]}"; do
		subject=$(git mailinfo /dev/null /dev/null <"$top/patches/$n" | sed -n 's/^Subject: //p')
		by_subject[$subject]=${by_subject[$subject]:-$n}
	done
	list=()
	for i in "${!commits[@]}"; do
		c=${commits[i]}
		subject=$(git -C "$repo" log -1 --format=%s "$c")
		survives "$repo" "$c" "${mails[i]}" ||
			die "the message of commit ${c:0:12} '$subject' does not come back from git am: look for lines that begin with '---', 'diff ', 'From:' or a subject in brackets"
		file=$(git -C "$repo" notes --ref="$NOTES" show "$c" 2>/dev/null || true)
		file=${file%%$'\n'*}
		[ -n "$file" ] && [ -z "${used[$file]:-}" ] || file=${by_subject[$subject]:-}
		if [ -z "$file" ] || [ -n "${used[$file]:-}" ]; then
			slug=$(git -C "$repo" log -1 --format=%f "$c" | tr 'A-Z' 'a-z')
			[ ${#slug} -le 64 ] || { slug=${slug:0:64}; slug=${slug%-*}; }
			[ -n "$new_topic" ] ||
				die "commit ${c:0:12} '$subject' has no patch file yet: say its topic with TOPIC= (${topic_list[*]})"
			file=$new_topic/$slug.patch
			n=2
			while [ -n "${used[$file]:-}" ] || grep -qxF "$file" "$top/series"; do
				file=$new_topic/$slug-$((n++)).patch
			done
		fi
		used[$file]=$c
		list+=("$file")
		mkdir -p "$out/patches/${file%/*}"
		mv "${mails[i]}" "$out/patches/$file"
	done
	printf '%s\n' "${list[@]}" >"$out/list"
	printf '%s\n' "${commits[@]}" >"$out/commits"

	# The lines before a topic line or an entry belong to it.
	# A topic without patches stays behind the topic it stood behind.
	awk -v list="$out/list" '
	function flush(t,   i) {
		if (t in done) return
		done[t] = 1
		printf "%s", lead["# " t]
		print line[t]
		for (i = 1; i <= n; i++)
			if (top[i] == t) printf "%s%s\n", lead[want[i]], want[i]
		printf "%s", tail[t]
		for (i = 1; i <= topics; i++)
			if (behind[order[i]] == t && !has[order[i]]) flush(order[i])
	}
	BEGIN {
		while ((getline w < list) > 0) {
			if (w == "") continue
			want[++n] = w; split(w, a, "/"); top[n] = a[1]
			if (n > 1 && a[1] != top[n - 1] && has[a[1]]) {
				print a[1] | "cat 1>&2"; exit bad = 3
			}
			has[a[1]] = 1
		}
	}
	/^# topic: / { t = $3; order[++topics] = t; behind[t] = order[topics - 1]
		line[t] = $0; lead["# " t] = held; held = ""; next }
	/^#/ || /^$/ { held = held $0 "\n"; next }
	{ lead[$0] = held; held = "" }
	END {
		if (bad) exit bad
		tail[order[topics]] = held
		for (i = 1; i <= topics; i++)
			if (!has[order[i]] && behind[order[i]] == "") flush(order[i])
		for (i = 1; i <= n; i++) flush(top[i])
	}' "$top/series" >"$out/series" 2>"$out/mixed" ||
		die "the patches of topic $(cat "$out/mixed") are not next to each other: reorder them with git rebase -i"
}

# survives REPO COMMIT MAIL: git am of MAIL gives COMMIT's author and message.
survives()
{
	local got want
	got=$(git mailinfo "$3.msg" /dev/null <"$3" | sed -n 's/^\(Author\|Email\|Subject\): //p'
		git stripspace <"$3.msg")
	want=$(git -C "$1" log -1 --format='%an%n%ae%n%s' "$2"
		git -C "$1" log -1 --format=%b "$2" | git stripspace)
	rm -f "$3.msg"
	[ "$got" = "$want" ]
}

# need_stack: set stack to the real path of build/linux, which must hold the
# series as it is in patches/ (call read_series before).
need_stack()
{
	[ -f "$build/linux/.git/memhp-applied" ] || die "there is no build/linux: run 'make apply'"
	stack=$(realpath "$build/linux")
	[ "$(sed 1d "$stack/.git/memhp-applied" | cut -d ' ' -f 1,3)" = \
	  "$(cd "$top/patches" && { [ ${#names[@]} = 0 ] || sha256sum "${names[@]}"; } | awk '{ print $1, $2 }')" ] ||
		die "build/linux is not what series and patches/ say: run 'make apply'"
	[ "$(git -C "$stack" rev-parse HEAD)" = "$(git -C "$stack" rev-parse applied)" ] &&
	[ -z "$(git -C "$stack" status --porcelain --untracked-files=no)" ] ||
		die "build/linux holds work that patches/ does not: commit it and 'make refresh'"
}

# kmake_like OBJ SRC DIR: set kmake to a make command that builds SRC in DIR with
# the architecture, compiler and configuration of the kernel built in OBJ.
kmake_like()
{
	local obj=$1 src=$2 dir=$3 arch cross gcc
	arch=$(sed -n 's|^# Linux/\([a-z0-9_]*\) .* Kernel Configuration$|\1|p' "$obj/.config")
	case $arch in
	x86 | i386 | x86_64) cross= ;;
	powerpc)   cross=powerpc64le-linux-gnu- ;;
	arm64)     cross=aarch64-linux-gnu- ;;
	s390)      cross=s390x-linux-gnu- ;;
	riscv)     cross=riscv64-linux-gnu- ;;
	loongarch) cross=loongarch64-linux-gnu- ;;
	*)         die "$obj/.config is for an architecture that scripts/stack.sh does not know: '$arch'" ;;
	esac
	[ "$(uname -m)" != ppc64le ] || [ "$arch" != powerpc ] || cross=
	gcc=${cross}gcc
	command -v "$gcc" >/dev/null || die "$gcc is not installed: run 'make setup'"
	! command -v ccache >/dev/null || gcc="$top/scripts/cached $gcc"
	export CCACHE_BASEDIR=${src%/*}
	export KBUILD_BUILD_TIMESTAMP=1970-01-01 KBUILD_BUILD_USER=memhp KBUILD_BUILD_HOST=memhp
	kmake=(make -C "$src" O="$dir" ARCH="$arch" CROSS_COMPILE="$cross" CC="$gcc" -j"$JOBS")
	mkdir -p "$dir"
	if ! cmp -s "$obj/.config" "$dir/config.from"; then
		cp "$obj/.config" "$dir/.config"
		cp "$obj/.config" "$dir/config.from"
	fi
}

# built_objects OBJ FILE...: the objects of these .c files that the kernel in OBJ has.
built_objects()
{
	local obj=$1 f
	shift
	for f; do
		[[ $f != *.c ]] || [ ! -e "$obj/${f%.c}.o" ] || echo "${f%.c}.o"
	done
}
