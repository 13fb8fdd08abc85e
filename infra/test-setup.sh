#!/usr/bin/env bash
# Makes this machine able to mount a file system of a test's own (FUSE), where it may: prints the Python to run it
# with and ends with 0, or says on stderr why it can't and ends with 1. Installs the Debian packages if they are
# missing and this is root. Called by infra/testSetup.ts before the tests; harmless to call again.
set -euo pipefail

no() {
  echo "$1" >&2
  exit 1
}

# Debian calls the module fusepy, PyPI calls it fuse; it loads libfuse when it is imported.
import='
try: import fusepy as fuse
except ImportError: import fuse
fuse.FUSE
'
find_python() {
  command -v fusermount >/dev/null || return 1
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c "$import" 2>/dev/null; then
      command -v "$python"
      return 0
    fi
  done
  return 1
}

[ "$(uname -s)" = Linux ] || no "FUSE tests run on Linux only"
[ -c /dev/fuse ] || no "this machine has no /dev/fuse"

if ! python=$(find_python); then
  [ "$(id -u)" = 0 ] || no "fuse and fusepy are missing, and only root can install them"
  command -v apt-get >/dev/null || no "fuse and fusepy are missing, and there is no apt-get to install them"
  export DEBIAN_FRONTEND=noninteractive
  apt=(timeout 120 apt-get -qq -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o DPkg::Lock::Timeout=60)
  "${apt[@]}" update >&2 || true
  "${apt[@]}" install -y --no-install-recommends fuse libfuse2 python3 python3-fusepy >&2 </dev/null ||
    no "fuse and fusepy could not be installed"
  python=$(find_python) || no "fusepy doesn't load"
fi

# In many containers /dev/fuse is there and mounting is not allowed: try it.
place=$(mktemp -d)
undo() {
  fusermount -u "$place" 2>/dev/null || true
  rmdir "$place" 2>/dev/null || true
}
trap undo EXIT
probe="$import
import sys
fuse.FUSE(fuse.Operations(), sys.argv[1], foreground=False, ro=True)"
timeout 20 "$python" -c "$probe" "$place" >&2 || no "mounting with FUSE is not allowed here"
mountpoint -q "$place" || no "mounting with FUSE is not allowed here"
echo "$python"
