"""Where sockets may lie: their addresses are short."""

import os
import tempfile

# Linux allows 107 bytes. vLLM adds 37 to the folder, the warm interpreter 26.
_MOST_BYTES = 107 - 37
_OTHERS = ("/tmp", "/var/tmp", "/dev/shm")


def short_folder() -> str:
    """Return the folder for temporary files, or another where its path is too long for sockets.

    Raises:
        ValueError: no such folder can be written.
    """
    usual = tempfile.gettempdir()
    for folder in (usual, *_OTHERS):
        if len(os.fsencode(folder)) <= _MOST_BYTES and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise ValueError(
        f"{usual} is too long for the address of a socket, and none of {', '.join(_OTHERS)} can be "
        f"written: set TMPDIR to a folder of at most {_MOST_BYTES} characters"
    )
