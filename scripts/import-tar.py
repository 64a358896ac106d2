#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Turn a kernel source tar into one commit of a bare git repository.

usage: xz -dc FILE | import-tar.py GIT-DIR TAG SUBJECT

The first directory of each name is dropped. The rules that Debian appends to
.gitignore, which hide every new file, are dropped as well. The commit depends
on the contents and SUBJECT alone, so its id is the same on every machine.
"""

import re
import subprocess
import sys
import tarfile

IDENT = b'base <base@localhost> 1700000000 +0000'
DEBIAN = re.compile(rb'\n\n#\n# Debian packaging: ignore everything.*\Z', re.S)


def main():
    if len(sys.argv) != 4:
        sys.exit('import-tar.py: ' + __doc__.split('\n\n')[1])
    gitdir, tag, subject = sys.argv[1:]
    git = subprocess.Popen(['git', '-C', gitdir, '-c', 'core.compression=1', 'fast-import', '--quiet', '--force',
                            '--date-format=raw'], stdin=subprocess.PIPE)
    out = git.stdin
    out.write(b'commit refs/heads/import\ncommitter %s\ndata %d\n%s\n' % (IDENT, len(subject), subject.encode()))
    out.write(b'deleteall\n')
    with tarfile.open(fileobj=sys.stdin.buffer, mode='r|') as tar:
        for member in tar:
            _, _, name = member.name.partition('/')
            if member.issym():
                mode, data = b'120000', member.linkname.encode()
            elif member.isfile():
                mode = b'100755' if member.mode & 0o100 else b'100644'
                data = tar.extractfile(member).read()
                if name == '.gitignore':
                    data = DEBIAN.sub(b'\n', data)
                    if b'\n/*\n' in data:
                        sys.exit('import-tar.py: .gitignore hides new files in a way that is not known here')
            else:
                continue
            out.write(b'M %s inline %s\ndata %d\n' % (mode, name.encode(), len(data)))
            out.write(data)
            out.write(b'\n')
    out.write(b'reset refs/tags/%s\nfrom refs/heads/import\n\n' % tag.encode())
    out.close()
    if git.wait():
        sys.exit('import-tar.py: git fast-import failed')
    subprocess.run(['git', '-C', gitdir, 'update-ref', '-d', 'refs/heads/import'], check=True)


if __name__ == '__main__':
    main()
