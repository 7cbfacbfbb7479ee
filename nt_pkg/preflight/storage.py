"""Checks of the file systems of results and the environment."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nt_pkg.preflight.facts import Finding

_SHARED = re.compile(
    r"nfs4?|lustre|gpfs|mmfs|beegfs|fhgfs|ceph|panfs|pvfs2|orangefs|afs|cifs|smb3|wekafs|9p|virtiofs|"
    r"glusterfs|quobyte|daos|dfuse|juicefs|vast|gfs2|ocfs2|"
    r"fuse\.(ceph.*|gluster.*|dfuse|juicefs|quobyte.*|sshfs|moosefs|lizardfs|s3fs|wekafs|beegfs)"
)
_IN_MEMORY = ("tmpfs", "ramfs", "overlay", "squashfs", "rootfs")


@dataclass(frozen=True)
class Mount:
    """A mounted file system."""

    point: str
    kind: str
    source: str
    options: str = ""


def mounts(text: str) -> list[Mount]:
    """Return the mounts of `/proc/self/mountinfo`; of several at one place, the last counts."""
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if len(left) >= 6 and len(right) >= 2:
            point = re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), left[4])
            options = ",".join([left[5], *right[2:3]])
            found.append(Mount(point, right[0], right[1], options))
    return found


def mount_of(path: Path, known: Sequence[Mount]) -> Mount | None:
    """Return the file system of a path."""
    best = None
    for mount in known:
        root = mount.point.rstrip("/") + "/"
        inside = f"{path}/".startswith(root)
        if inside and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def locality(
    places: Mapping[str, Path], known: Sequence[Mount], seen_by_probe: frozenset[str] = frozenset()
) -> list[Finding]:
    """Judge whether compute nodes see the folders that jobs use.

    Args:
        places: label -> folder.
        known: the mounts.
        seen_by_probe: labels of folders that a compute node has seen.
    """
    groups: dict[tuple[Mount | None, str | None], list[str]] = {}
    for label, path in places.items():
        mount = mount_of(path, known)
        groups.setdefault((mount, _why_local(mount, path)), []).append(label)
    found = []
    for (mount, why), labels in groups.items():
        where = f"{', '.join(labels)}: {mount.point} ({mount.kind})" if mount else ", ".join(labels)
        if set(labels) <= seen_by_probe:
            found.append(Finding("ok", "storage", f"{where}, seen by a compute node"))
        elif why is None:
            found.append(Finding("ok", "storage", f"{where}, a shared file system"))
        else:
            todo = "move the project and its .venv to shared storage, or check with --probe"
            found.append(Finding("warn", "storage", f"{where}: {why}", todo))
        if mount and (todo := _lock_options(mount)):
            found.append(Finding("warn", "flock", f"{where}: locks hold on this node only", todo))
    return found


def _why_local(mount: Mount | None, path: Path) -> str | None:
    """Return why compute nodes may not see a folder; None if they should."""
    if mount is None:
        return "its file system is unknown"
    if mount.kind in _IN_MEMORY:
        return "is in this node's memory or image; compute nodes do not see it"
    if _SHARED.fullmatch(mount.kind):
        return None
    if path.parts[1:2] == ("tmp",) or path.parts[1:3] == ("var", "tmp"):
        return "a temporary folder of this node; compute nodes have their own"
    return "probably a disk of this node; compute nodes see it only if this node exports it"


def _lock_options(mount: Mount) -> str:
    options = set(mount.options.split(","))
    if mount.kind == "lustre" and "localflock" in options:
        return "never start the study on two login nodes at once (mounted with localflock)"
    if mount.kind.startswith("nfs") and options & {"nolock", "local_lock=all", "local_lock=flock"}:
        return "never start the study on two login nodes at once (NFS without locks)"
    return ""
