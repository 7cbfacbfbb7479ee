"""Locks on open files, where the file system has them."""

import errno
import fcntl
import logging
from typing import IO, Any

logger = logging.getLogger(__name__)
# Lustre without the mount option flock, some FUSE and network file systems. EIO is what a lock
# server that cannot be reached gives.
_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL, errno.EIO)


def lock(file: IO[Any], waits: bool = True) -> bool:
    """Lock an open file until it is closed or unlocked; return whether this process now has it.

    Where the file system has no locks, it is taken as locked, with a warning: finished work counts
    for more than the protection from a second start.

    Args:
        file: an open file with a name.
        waits: whether to wait while another process has it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        logger.warning(
            "%s: this file system has no locks (%s): make sure that no other start of the same "
            "study runs in this folder",
            file.name,
            error.strerror,
        )
    return True


def unlock(file: IO[Any]) -> None:
    """Give up a lock, also for processes that were forked since."""
    try:
        fcntl.flock(file, fcntl.LOCK_UN)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
