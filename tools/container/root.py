"""Folders as root file systems: made by debootstrap, entered by chroot in namespaces of their own.

Every mount lives in the mount namespace of one process and goes with it.
"""
import os
import shlex
import shutil
import stat
import subprocess

UBUNTU = {"jammy": "22.04", "noble": "24.04"}


def debootstrap(suite, target, log):
    """A minimal system. Debian comes from debootstrap's own mirror, Ubuntu from $UBUNTU_MIRROR."""
    command = ["debootstrap", "--variant=minbase"]
    if suite in UBUNTU:
        if "UBUNTU_MIRROR" not in os.environ:
            raise RuntimeError(f"{suite}: set UBUNTU_MIRROR to the address of a mirror of Ubuntu")
        # Debian has neither Ubuntu's keys nor scripts for its later suites; all of them are alike.
        command += ["--no-check-gpg", "--components=main,universe", suite, target,
                    os.environ["UBUNTU_MIRROR"], "/usr/share/debootstrap/scripts/gutsy"]
    else:
        command += [suite, target]
    with open(log, "w") as out:
        if subprocess.run(["unshare", "--mount", *command], stdout=out, stderr=out).returncode:
            raise RuntimeError(f"debootstrap {suite} failed:\n" + tail(log))
    add_updates(suite, os.path.join(target, "etc/apt/sources.list"))


def add_updates(suite, path):
    """Updates and security fixes, from the mirror that debootstrap wrote down."""
    with open(path) as file:
        mirror = next(line.split()[1] for line in file if line.startswith("deb ")).rstrip("/")
    components = "main universe" if suite in UBUNTU else "main"
    security = mirror if suite in UBUNTU else mirror.removesuffix("/debian") + "/debian-security"
    lines = [f"deb {mirror} {suite} {components}", f"deb {mirror} {suite}-updates {components}",
             f"deb {security} {suite}-security {components}"]
    with open(path, "w") as out:
        out.write("\n".join(lines) + "\n")


def tail(path, lines=40):
    with open(path, errors="replace") as file:
        return "".join(file.readlines()[-lines:])


def resolve(root, path):
    """The place of an image's absolute path on this machine, its links followed inside of the root."""
    done = root
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for _ in range(1000):
        if not parts:
            return done
        part = parts.pop(0)
        if part == "..":
            done = root if done == root else os.path.dirname(done)
            continue
        here = os.path.join(done, part)
        if os.path.islink(here):
            target = os.readlink(here)
            if target.startswith("/"):
                done = root
            parts = [p for p in target.split("/") if p not in ("", ".")] + parts
        else:
            done = here
    raise RuntimeError(f"{path}: too many links")


def ids(root, user):
    """(uid, gid, home) of USER's or --chown's `name[:group]`, from the root's own lists."""
    name, _, group = user.partition(":")
    uid, gid, home = None, None, "/"
    for line in lines_of(root, "/etc/passwd"):
        fields = line.split(":")
        if name in (fields[0], fields[2]):
            uid, gid, home = int(fields[2]), int(fields[3]), fields[5]
            break
    if uid is None:
        if not name.isdigit():
            raise RuntimeError(f"no user {name} in the image")
        uid, gid = int(name), 0
    if group:
        gid = int(group) if group.isdigit() else None
        for line in lines_of(root, "/etc/group"):
            if line.split(":")[0] == group:
                gid = int(line.split(":")[2])
        if gid is None:
            raise RuntimeError(f"no group {group} in the image")
    return uid, gid, home


def lines_of(root, path):
    with open(resolve(root, path)) as file:
        return file.read().splitlines()


def mounts(root, binds):
    """Shell lines that furnish the root; `binds` are (path here, path there)."""
    lines = ["mount --make-rprivate /", f"mount --bind {shlex.quote(root)} {shlex.quote(root)}"]
    for name in ("dev", "sys"):
        lines.append(f"mount --rbind /{name} {shlex.quote(os.path.join(root, name))}")
    lines.append(f"mount -t proc proc {shlex.quote(os.path.join(root, 'proc'))}")
    for here, there in binds:
        target = resolve(root, there)
        if os.path.isdir(here):
            os.makedirs(target, exist_ok=True)
        elif not os.path.exists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            open(target, "w").close()
        lines.append(f"mount --bind {shlex.quote(here)} {shlex.quote(target)}")
    return lines


def chroot_command(root, command, env, user, workdir, binds=(), network=True):
    """What to execute here, so that `command` runs in the root as `user` (uid, gid)."""
    uid, gid = user
    inside = ["chroot", f"--userspec=+{uid}:+{gid}", "--groups=", root, "/usr/bin/env", "-i", "-C", workdir,
              *(f"{name}={value}" for name, value in env.items()), *command]
    lines = ["set -e", *mounts(root, binds)]
    if not network:
        lines.append("ip link set lo up")
    lines.append("exec " + shlex.join(inside))
    spaces = ["--mount", "--pid", "--fork", "--kill-child"] + ([] if network else ["--net"])
    return ["unshare", *spaces, "/bin/sh", "-c", "\n".join(lines)]


def owned_copy(source, target, owner=None, mode=None):
    """Copies a file, link or folder's content; `owner` (uid, gid) or as the source's."""
    status = os.lstat(source)
    if stat.S_ISDIR(status.st_mode):
        if not os.path.isdir(target):
            os.makedirs(target)
            os.chmod(target, stat.S_IMODE(status.st_mode))
            os.chown(target, *(owner or (status.st_uid, status.st_gid)))
        for name in sorted(os.listdir(source)):
            owned_copy(os.path.join(source, name), os.path.join(target, name), owner, mode)
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.lexists(target):
        os.unlink(target)
    shutil.copy2(source, target, follow_symlinks=False)
    os.chown(target, *(owner or (status.st_uid, status.st_gid)), follow_symlinks=False)
    if mode is not None and not os.path.islink(target):
        os.chmod(target, mode)


def remove(folder):
    """Removes a tree, never what is mounted in it."""
    with open("/proc/self/mountinfo") as file:
        below = [line.split()[4] for line in file if line.split()[4].startswith(folder + "/")]
    for place in sorted(below, reverse=True):
        subprocess.run(["umount", place], check=True)
    subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)
