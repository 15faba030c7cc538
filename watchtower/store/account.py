"""Whose rights the embedded PostgreSQL runs with.

PostgreSQL refuses to run as root. Started by root (a container, mostly), it runs as the owner of its folder
or as the system account `watchtower`, which is let through the folders above by an access list for that
account alone: nothing becomes readable, and nothing passable for others.
"""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import stat
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from watchtower.errors import StoreError

NAME = "watchtower"
_ACL = "system.posix_acl_access"
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NOBODY = 0xFFFFFFFF
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """A user and group id of this system."""

    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Give `path`, and what is in it, to this account."""
        os.chown(path, self.uid, self.gid)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(Path(folder) / name, self.uid, self.gid, follow_symlinks=False)


def account_for(cluster: Path) -> Account | None:
    """Who runs the database in `cluster`. None: the present user, as always unless that is root."""
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    return _system_account()


def _system_account() -> Account:
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        if command := shutil.which("useradd"):
            options = ["--system", "--user-group", "--no-create-home", "--shell", "/bin/false", NAME]
            subprocess.run([command, *options], check=False, capture_output=True)
        try:
            entry = pwd.getpwnam(NAME)
        except KeyError:
            raise StoreError(
                "the embedded PostgreSQL does not run as root, and no other account could be created",
                remedy=f"Run watchtower as an ordinary user, or create an account: useradd --system {NAME}",
            ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def let_through(path: Path, account: Account) -> None:
    """Let the account pass every folder above `path`. Only root can; StoreError where the system refuses."""
    for folder in path.parents:
        status = folder.stat()
        if status.st_mode & stat.S_IXOTH or (status.st_uid == account.uid and status.st_mode & stat.S_IXUSR):
            continue
        try:
            _grant_passage(folder, account)
        except OSError:
            # A file system without access lists (some network and overlay mounts).
            _log.warning("%s: may now be passed through (not listed) by other users of this machine", folder)
            try:
                folder.chmod(stat.S_IMODE(status.st_mode) | stat.S_IXOTH)
            except OSError as error:
                raise StoreError(
                    f"{folder}: closed to the database's account {account.uid}: {error.strerror}",
                    remedy="Name a data folder elsewhere by WATCHTOWER_DATA, such as /var/lib/watchtower.",
                ) from error


def _grant_passage(folder: Path, account: Account) -> None:
    """Add `user:<account>:x` to the access list of the folder; the others' rights stay as they are."""
    mode = folder.stat().st_mode
    try:
        entries = list(struct.iter_unpack("<HHI", os.getxattr(folder, _ACL)[4:]))
    except OSError:
        entries = [
            (_USER_OBJ, mode >> 6 & 7, _NOBODY),
            (_GROUP_OBJ, mode >> 3 & 7, _NOBODY),
            (_OTHER, mode & 7, _NOBODY),
        ]
    rights = {(tag, who): right for tag, right, who in entries}
    rights[_USER, account.uid] = rights.get((_USER, account.uid), 0) | 1
    group = rights[_GROUP_OBJ, _NOBODY]
    rights[_MASK, _NOBODY] = rights.get((_MASK, _NOBODY), group) | 1
    packed = b"".join(struct.pack("<HHI", tag, right, who) for (tag, who), right in sorted(rights.items()))
    os.setxattr(folder, _ACL, struct.pack("<I", 2) + packed)


def make_readable(programs: Path) -> None:
    """Let every account read and run the installed programs (public files; a strict umask may hide them)."""
    probe = (programs, programs / "bin" / "postgres")
    if all(path.stat().st_mode & stat.S_IXOTH and path.stat().st_mode & stat.S_IROTH for path in probe):
        return
    for folder, _, files in os.walk(programs):
        for path in (Path(folder), *(Path(folder) / name for name in files)):
            mode = path.stat().st_mode
            path.chmod(stat.S_IMODE(mode) | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))
