"""A FUSE pass-through directory that forgets what was not synced: power loss, for tests.

Writes stay in memory until fsync or fdatasync of the file, then go to the backing directory. A new name (create,
rename, mkdir) or a removed one stays only once the directory it is in was synced. Creating a file named `.cut` in the
mount is the power cut. From then on each change fails with EIO, and in the backing directory is what a machine would
find after it: by default nothing of what was unsynced; with a seed, of each unsynced write some blocks of 512 bytes
and of others none, as disks write back in whatever order they like. Start the program again on the backing directory.

    python lossyfs.py BACKING MOUNT [SEED|-] [journal]   # in the foreground; needs /dev/fuse and fusermount
    touch MOUNT/.cut                                     # cut; the number of dropped writes is then in BACKING.cut
    fusermount -u MOUNT

With `journal` each sync of a file also keeps all changes of names before it, as the journals of ext4 and XFS do.

What a sync covers is kept whole. Truncation is not delayed: it keeps the order in which disks do it, not its time.
One thread, some thousand operations a second.
"""
import ctypes
import errno
import os
import random
import shutil
import signal
import sys

# Debian's package calls the module fusepy, PyPI's calls it fuse.
try:
    import fusepy as fuse
except ImportError:
    import fuse

STAT = ("st_atime", "st_ctime", "st_gid", "st_mode", "st_mtime", "st_nlink", "st_size", "st_uid")
STATFS = (
    "f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_favail", "f_ffree", "f_files", "f_flag", "f_frsize", "f_namemax"
)
SECTOR = 512


class LossyFs(fuse.Operations):
    def __init__(self, backing, seed=None, journal=False):
        self.backing = os.path.abspath(backing)
        self.trash = self.backing + ".trash"
        os.makedirs(self.trash, exist_ok=True)
        self.random = None if seed is None else random.Random(seed)
        self.unsynced = {}  # path -> [(offset, bytes)], in order
        self.sizes = {}  # path -> size as the writer sees it
        self.names = []  # changes of directories that were not synced: (directories, undo), in order
        self.trashed = 0
        self.is_cut = False
        self.journal = journal

    def real(self, path):
        return self.backing + path

    def changeable(self):
        if self.is_cut:
            raise fuse.FuseOSError(errno.EIO)

    # --- the fault ------------------------------------------------------------------------------------------------

    def apply(self, path, writes, size=None):
        if not os.path.isfile(self.real(path)):
            return
        fd = os.open(self.real(path), os.O_RDWR)
        try:
            for offset, data in writes:
                os.pwrite(fd, data, offset)
            if size is not None and os.fstat(fd).st_size < size:
                os.ftruncate(fd, size)
        finally:
            os.close(fd)

    def push(self, path):
        writes, size = self.unsynced.pop(path, []), self.sizes.pop(path, None)
        if writes or size is not None:
            self.apply(path, writes, size)

    def cut(self):
        self.is_cut = True
        dropped = sum(len(writes) for writes in self.unsynced.values())
        if self.random is not None:
            for path, writes in self.unsynced.items():
                self.apply(path, list(self.survivors(writes)))
        self.unsynced.clear()
        self.sizes.clear()
        for _, undo in reversed(self.names):
            try:
                undo()
            except FileNotFoundError:
                pass  # its directory is gone for good: that was synced
        self.names.clear()
        with open(self.backing + ".cut", "w") as out:
            out.write(f"{dropped}\n")

    def survivors(self, writes):
        for offset, data in writes:
            fate = self.random.random()
            if fate < 0.4:
                yield offset, data
            elif fate < 0.6:
                for at in range(0, len(data), SECTOR):
                    if self.random.random() < 0.5:
                        yield offset + at, data[at : at + SECTOR]

    def changed(self, paths, undo):
        self.names.append(({os.path.dirname(path) for path in paths}, undo))

    def fsyncdir(self, path, datasync, fh):
        self.changeable()
        left = []
        for directories, undo in self.names:
            directories.discard(path)
            if directories:
                left.append((directories, undo))
        self.names = left

    def to_trash(self, path):
        """Takes the file away and returns what brings it back."""
        self.trashed += 1
        kept = os.path.join(self.trash, str(self.trashed))
        os.rename(self.real(path), kept)
        return lambda: os.rename(kept, self.real(path))

    # --- what the kernel asks -------------------------------------------------------------------------------------

    def getattr(self, path, fh=None):
        try:
            found = os.lstat(self.real(path))
        except OSError as error:
            raise fuse.FuseOSError(error.errno)
        out = {key: getattr(found, key) for key in STAT}
        if path in self.sizes:
            out["st_size"] = self.sizes[path]
        return out

    def readdir(self, path, fh):
        return [".", ".."] + os.listdir(self.real(path))

    def mkdir(self, path, mode):
        self.changeable()
        os.mkdir(self.real(path), mode)
        self.changed([path], lambda: shutil.rmtree(self.real(path), ignore_errors=True))

    def rmdir(self, path):
        self.changeable()
        os.rmdir(self.real(path))
        self.changed([path], lambda: os.mkdir(self.real(path)))

    def create(self, path, mode, fi=None):
        if path == "/.cut":
            self.cut()
            raise fuse.FuseOSError(errno.EIO)
        self.changeable()
        existed = os.path.exists(self.real(path))
        fd = os.open(self.real(path), os.O_RDWR | os.O_CREAT, mode)
        if not existed:
            self.changed([path], lambda: os.path.exists(self.real(path)) and os.unlink(self.real(path)))
        return fd

    def open(self, path, flags):
        return os.open(self.real(path), os.O_RDONLY if self.is_cut else os.O_RDWR)

    def release(self, path, fh):
        os.close(fh)

    def read(self, path, length, offset, fh):
        end = min(offset + length, self.sizes.get(path, os.fstat(fh).st_size))
        if end <= offset:
            return b""
        out = bytearray(os.pread(fh, end - offset, offset))
        out.extend(b"\0" * (end - offset - len(out)))
        for at, data in self.unsynced.get(path, ()):
            first, last = max(at, offset), min(at + len(data), end)
            if first < last:
                out[first - offset : last - offset] = data[first - at : last - at]
        return bytes(out)

    def write(self, path, data, offset, fh):
        self.changeable()
        self.unsynced.setdefault(path, []).append((offset, data))
        size = self.sizes.get(path, os.fstat(fh).st_size)
        self.sizes[path] = max(size, offset + len(data))
        return len(data)

    def truncate(self, path, length, fh=None):
        self.changeable()
        self.push(path)
        os.truncate(self.real(path), length)

    def fsync(self, path, datasync, fh):
        self.changeable()
        self.push(path)
        if self.journal:
            self.names.clear()

    def flush(self, path, fh):
        pass

    def unlink(self, path):
        self.changeable()
        self.unsynced.pop(path, None)
        self.sizes.pop(path, None)
        self.changed([path], self.to_trash(path))

    def rename(self, old, new):
        self.changeable()
        restore = self.to_trash(new) if os.path.exists(self.real(new)) else None
        os.rename(self.real(old), self.real(new))
        for held in (self.unsynced, self.sizes):
            held.pop(new, None)
            if old in held:
                held[new] = held.pop(old)

        def undo():
            if os.path.exists(self.real(new)):
                os.rename(self.real(new), self.real(old))
            if restore is not None:
                restore()

        self.changed([old, new], undo)

    def link(self, target, source):
        self.changeable()
        os.link(self.real(source), self.real(target))
        self.changed([target], lambda: os.path.exists(self.real(target)) and os.unlink(self.real(target)))

    def statfs(self, path):
        found = os.statvfs(self.backing)
        return {key: getattr(found, key) for key in STATFS}

    def chmod(self, path, mode):
        os.chmod(self.real(path), mode)

    def chown(self, path, uid, gid):
        pass

    def utimens(self, path, times=None):
        pass


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4, 5) or sys.argv[4:] not in ([], ["journal"]):
        sys.exit(__doc__)
    # Ends, and unmounts, with the process that started it (PR_SET_PDEATHSIG).
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    seed = int(sys.argv[3]) if sys.argv[3:4] not in ([], ["-"]) else None
    fuse.FUSE(LossyFs(sys.argv[1], seed, len(sys.argv) == 5), sys.argv[2], foreground=True, nothreads=True, big_writes=True)
