"""Executes the stages of a Dockerfile in folders instead of image layers."""
import dataclasses
import fnmatch
import glob
import os
import shutil
import subprocess
import time

from . import context, dockerfile, root

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts")


@dataclasses.dataclass
class Base:
    """What stands in for an image."""
    image: str  # pattern
    suite: str  # of debootstrap
    binds: list = dataclasses.field(default_factory=list)  # (path here, path there), read as part of it
    env: dict = dataclasses.field(default_factory=dict)
    note: str = ""  # how it differs from the image


@dataclasses.dataclass
class Image:
    folder: str
    env: dict
    binds: list
    user: str = "root"
    workdir: str = "/"
    entrypoint: list = None
    cmd: list = None
    healthcheck: dict = None
    stop_signal: str = "SIGTERM"
    volumes: list = dataclasses.field(default_factory=list)
    ports: list = dataclasses.field(default_factory=list)

    def ids(self):
        return root.ids(self.folder, self.user)

    def full_env(self):
        return {"PATH": PATH, "HOME": self.ids()[2], **self.env}

    def command_line(self, command, user=None, network=True, binds=(), env=None):
        uid, gid, _ = self.ids()
        return root.chroot_command(self.folder, command, {**self.full_env(), **(env or {})},
                                   user or (uid, gid), self.workdir, [*self.binds, *binds], network)


class Builder:
    """`bases`: what images become; `binds`: further (path here, path there) for RUN, such as a compiler
    cache; `say`: prints a line."""

    def __init__(self, work, bases, binds, build_args, say=print):
        self.work, self.bases, self.binds, self.build_args, self.say = work, bases, binds, build_args, say
        self.stages = {}  # name or number -> Image
        self.context = os.path.join(work, "context")
        self.notes = []

    def build(self, path, folder):
        """The image of the last stage."""
        with open(path) as file:
            stages, global_args = dockerfile.parse(file.read(), self.build_args)
        count = context.stage(folder, self.context)
        self.say(f"context: {count} files")
        image = None
        for number, stage in enumerate(stages):
            image = self.build_stage(number, stage, global_args)
            self.stages[stage.name or str(number)] = image
        return image

    def build_stage(self, number, stage, global_args):
        image = self.start(number, stage)
        args = {}
        total = len(stage.instructions)
        for step, instruction in enumerate(stage.instructions, 1):
            began = time.monotonic()
            self.execute(image, instruction, args, global_args)
            text = instruction.text if len(instruction.text) < 90 else instruction.text[:87] + "..."
            self.say(f"[{stage.name or number} {step}/{total}] {instruction.name} {text}"
                     f"  ({time.monotonic() - began:.1f} s)")
        return image

    def start(self, number, stage):
        folder = os.path.join(self.work, f"stage-{number}")
        if stage.base.lower() in self.stages:
            before = self.stages[stage.base.lower()]
            subprocess.run(["cp", "-a", before.folder, folder], check=True)
            return dataclasses.replace(before, folder=folder, env=dict(before.env),
                                       volumes=list(before.volumes), ports=list(before.ports))
        base = next((base for base in self.bases if fnmatch.fnmatch(stage.base, base.image)), None)
        if base is None:
            raise RuntimeError(f"line {stage.line}: nothing stands in for the image {stage.base}; "
                               f"there are {', '.join(base.image for base in self.bases)}")
        pristine = os.path.join(self.work, f"base-{base.suite}")
        if not os.path.exists(pristine):
            self.say(f"debootstrap {base.suite}")
            root.debootstrap(base.suite, pristine, os.path.join(self.work, "debootstrap.log"))
        subprocess.run(["cp", "-a", pristine, folder], check=True)
        self.notes.append(f"{stage.base} was debootstrap {base.suite}" + (f", {base.note}" if base.note else ""))
        return Image(folder, {"PATH": PATH, **base.env}, list(base.binds))

    def execute(self, image, instruction, args, global_args):
        variables = {**args, **image.env}
        method = getattr(self, "do_" + instruction.name.lower())
        try:
            method(image, instruction, variables, args, global_args)
        except (RuntimeError, OSError) as error:
            raise RuntimeError(f"line {instruction.line}: {instruction.name}: {error}") from None

    def do_arg(self, image, instruction, variables, args, global_args):
        for name, value in dockerfile.assignments(instruction, variables):
            value = self.build_args.get(name, global_args.get(name) if value is None else value)
            if value is not None:
                args[name] = value

    def do_env(self, image, instruction, variables, args, global_args):
        image.env.update(dockerfile.assignments(instruction, variables))

    def do_run(self, image, instruction, variables, args, global_args):
        log = os.path.join(self.work, "run.log")
        files = [(path, path) for path in NETWORK_FILES if os.path.exists(path)]
        command = image.command_line(instruction.command(), binds=[*files, *self.binds], env=args)
        with open(log, "w") as out:
            status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode
        if status:
            raise RuntimeError(f"ended with {status}:\n" + root.tail(log))

    def do_copy(self, image, instruction, variables, args, global_args):
        words = instruction.argv() or dockerfile.expand(instruction.line, instruction.text, variables)
        if len(words) < 2:
            raise RuntimeError("expected sources and a target")
        *sources, to = words
        where = instruction.flags.get("from")
        source_root = self.stages[where.lower()].folder if where else self.context
        owner = None if where else (0, 0)
        if "chown" in instruction.flags:
            owner = root.ids(image.folder, instruction.flags["chown"])[:2]
        mode = int(instruction.flags["chmod"], 8) if "chmod" in instruction.flags else None
        target = os.path.join(image.workdir, to)
        into = to.endswith("/") or to in (".", "..") or os.path.isdir(root.resolve(image.folder, target))
        found = [path for source in sources for path in self.matches(source_root, source)]
        if len(found) > 1 and not into:
            raise RuntimeError(f"several sources, so the target must end with /: {to}")
        for path in found:
            here = root.resolve(image.folder, target)
            if into and not os.path.isdir(path):
                here = os.path.join(here, os.path.basename(path))
            root.owned_copy(path, here, owner, mode)

    def matches(self, source_root, source):
        if ".." in source.split("/"):
            raise RuntimeError(f"{source} leaves the context")
        if any(c in source for c in "*?["):
            found = sorted(glob.glob(os.path.join(source_root, source.lstrip("/"))))
        else:
            found = [path for path in [root.resolve(source_root, source)] if os.path.lexists(path)]
        if not found:
            raise RuntimeError(f"{source}: not found (does .dockerignore leave it out?)")
        return found

    def do_workdir(self, image, instruction, variables, args, global_args):
        path = " ".join(dockerfile.expand(instruction.line, instruction.text, variables))
        image.workdir = os.path.normpath(os.path.join(image.workdir, path))
        os.makedirs(root.resolve(image.folder, image.workdir), exist_ok=True)

    def do_user(self, image, instruction, variables, args, global_args):
        image.user = " ".join(dockerfile.expand(instruction.line, instruction.text, variables))
        image.ids()  # exists

    def do_entrypoint(self, image, instruction, variables, args, global_args):
        image.entrypoint, image.cmd = instruction.command(), None

    def do_cmd(self, image, instruction, variables, args, global_args):
        image.cmd = instruction.command()

    def do_healthcheck(self, image, instruction, variables, args, global_args):
        image.healthcheck = dockerfile.healthcheck(instruction)

    def do_volume(self, image, instruction, variables, args, global_args):
        for path in instruction.argv() or dockerfile.expand(instruction.line, instruction.text, variables):
            os.makedirs(root.resolve(image.folder, path), exist_ok=True)
            image.volumes.append(path)

    def do_expose(self, image, instruction, variables, args, global_args):
        for word in dockerfile.expand(instruction.line, instruction.text, variables):
            port, _, protocol = word.partition("/")
            if not port.isdigit() or protocol not in ("", "tcp"):
                raise RuntimeError(f"expected a port, found {word}")
            image.ports.append(int(port))

    def do_stopsignal(self, image, instruction, variables, args, global_args):
        image.stop_signal = " ".join(dockerfile.expand(instruction.line, instruction.text, variables))

    def volumes_of(self, image):
        """A new folder for each volume, with what the image has there, as (path here, path there)."""
        binds = []
        for number, path in enumerate(image.volumes):
            here = os.path.join(self.work, f"volume-{number}")
            shutil.rmtree(here, ignore_errors=True)
            subprocess.run(["cp", "-a", root.resolve(image.folder, path), here], check=True)
            binds.append((here, path))
        return binds
