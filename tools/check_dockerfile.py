#!/usr/bin/env python3
"""Builds a Dockerfile of this repository without a container engine, and tries what it makes.

  tools/check_dockerfile.py --parse FILE...        reads them, nothing more
  tools/check_dockerfile.py [options] FILE         builds in roots made by debootstrap (as root),
                                                   starts the image, checks health, asks, stops it

Roots lie in a new folder under /tmp and are removed at the end, also after a failure (--keep: not).
"""
import argparse
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from container import build, dockerfile, root, run  # noqa: E402

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
QUESTION = "What is Mica?"
CUDA = "/usr/local/cuda"


class Failure(Exception):
    pass


def bases():
    """Debian's image is its minbase; NVIDIA's are Ubuntu's with the toolkit of this machine."""
    toolkit = [(os.path.realpath(CUDA), CUDA)] if os.path.isdir(CUDA) else []
    env = {"PATH": f"{CUDA}/bin:{build.PATH}", "LD_LIBRARY_PATH": f"{CUDA}/lib64"}
    note = "with this machine's toolkit" if toolkit else "without CUDA"
    return [build.Base("debian:bookworm-slim", "bookworm"),
            build.Base("nvidia/cuda:13*-ubuntu24.04", "noble", toolkit, env, note),
            build.Base("nvidia/cuda:13*-ubuntu22.04", "jammy", toolkit, env, note)]


def say(text):
    print(text, flush=True)


def expect(condition, text):
    if not condition:
        raise Failure(text)
    say(f"ok: {text}")


def check_settings(image):
    uid = image.ids()[0]
    expect(uid != 0, f"runs as {image.user} (uid {uid}), not as root")
    expect(image.entrypoint and image.cmd, f"starts with {' '.join(image.entrypoint + image.cmd)}")
    expect(image.healthcheck is not None, "has a health check")
    expect(image.ports, f"exposes {image.ports}")


def wait_for_health(container, patience):
    """Polls as the engine would; a start must first be seen as not healthy or be healthy at once."""
    deadline = time.monotonic() + patience
    while True:
        if container.process.poll() is not None:
            raise Failure(f"the container ended with {container.process.returncode}:\n{root.tail(container.log)}")
        status, output = container.health()
        if status == 0:
            return
        if time.monotonic() > deadline:
            raise Failure(f"not healthy within {patience} s: {output}\n{root.tail(container.log)}")
        time.sleep(0.3)


def check_sick_server(container):
    """A server that stands still must be found out."""
    container.send("SIGSTOP")
    status, output = container.health()
    container.send("SIGCONT")
    expect(status != 0, f"health of a server that hangs is bad: {output[-100:]}")
    wait_for_health(container, 30)
    say("ok: and good again after it went on")


def check_answer(container):
    status, answer = container.post("/v1/chat/completions", {
        "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 60, "temperature": 0})
    expect(status == 200, f"a question is answered with 200 (found {status})")
    text = answer["choices"][0]["message"]["content"]
    expect(len(text.split()) > 3, f"the answer has words: {text[:100]!r}")


def check_volumes(container):
    for path in container.image.volumes:
        status, output = container.execute(["/bin/sh", "-c", f"cd {path} && touch own && rm own"], 20)
        expect(status == 0, f"may write to the volume {path} {output}")


def check_stop(container):
    """The stop signal lets a running request end; the status is 0."""
    result = []

    def ask():
        try:
            result.append(container.post("/v1/completions", {
                "prompt": "Once", "max_tokens": 1900, "temperature": 1, "seed": 1, "n": 8})[0])
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.1)
    running = not result
    container.send(container.image.stop_signal)
    status = container.wait(40)
    thread.join()
    expect(status == 0, f"{container.image.stop_signal} ends it with 0 (found {status})")
    expect(result == [200], f"a request {'that ran' if running else 'before'} then got its answer ({result[0]})")


def check_server(image, volumes, log, arguments, user=None):
    container = run.Container(image, volumes, log, arguments, user)
    try:
        wait_for_health(container, 120)
        say("ok: healthy: a token was generated")
        expect(container.listens_everywhere(), f"port {image.ports[0]} is open on all addresses")
        check_volumes(container)
        check_answer(container)
        check_sick_server(container)
        check_stop(container)
    finally:
        container.kill()


def check_health_alone(image, volumes, log):
    """Without a server the health check must fail."""
    bare = run.Container(image, volumes, log, arguments=["--help"])
    bare.wait(20)
    idle = build.dataclasses.replace(image, entrypoint=["/bin/sleep", "60"])
    container = run.Container(idle, volumes, log, arguments=[])
    try:
        status, output = container.health()
        expect(status != 0, f"health without a server is bad: {output[-100:]}")
    finally:
        container.kill()


def check_no_gpu(image, volumes, log):
    """What CMD says needs a GPU: without one it must end with 3 and the reason."""
    container = run.Container(image, volumes, log)
    status = container.wait(60)
    container.kill()
    expect(status == 3, f"CMD ends with 3 on a machine without a GPU (found {status}): {root.tail(log, 1).strip()}")


def check_image(image, builder, without_gpu):
    log = os.path.join(builder.work, "container.log")
    check_settings(image)
    volumes = builder.volumes_of(image)
    check_health_alone(image, volumes, log)
    arguments = list(image.cmd)
    if without_gpu:
        check_no_gpu(image, volumes, log)
        arguments = ["cpu" if word == "cuda" else word for word in arguments]
        say("the rest with --device cpu")
    check_server(image, volumes, log, arguments)
    say("as another user (--user 12345:12345):")
    check_server(image, volumes, log, arguments, user=(12345, 12345))


def warn_of_changes(builder):
    """What is in the context and not committed makes an image that nobody can build again."""
    tracked = subprocess.run(["git", "-C", REPOSITORY, "ls-files"], capture_output=True, text=True, check=True)
    changed = subprocess.run(["git", "-C", REPOSITORY, "diff", "--name-only", "HEAD"], capture_output=True,
                             text=True, check=True)
    known, differing = set(tracked.stdout.split("\n")), set(changed.stdout.split("\n"))
    for path in glob.iglob(os.path.join(builder.context, "**"), recursive=True, include_hidden=True):
        relative = os.path.relpath(path, builder.context)
        if os.path.isfile(path) and (relative not in known or relative in differing):
            builder.notes.append(f"in the context and not committed: {relative}")


def size_of(folder):
    done = subprocess.run(["du", "-smx", folder], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])


def check(options):
    work = tempfile.mkdtemp(prefix="mica-image-", dir="/tmp")
    binds = [tuple(bind.split(":", 1)) for bind in options.bind]
    build_args = dict(pair.split("=", 1) for pair in options.build_arg)
    builder = build.Builder(work, bases(), binds, build_args, say)
    try:
        began = time.monotonic()
        image = builder.build(options.files[0], REPOSITORY)
        warn_of_changes(builder)
        say(f"built in {time.monotonic() - began:.0f} s; the last root has {size_of(image.folder)} MB")
        check_image(image, builder, options.without_gpu)
        for note in builder.notes:
            say(f"note: {note}")
        for bind in options.bind:
            say(f"note: RUN also saw {bind}")
    finally:
        if options.keep:
            say(f"kept: {work}")
        else:
            root.remove(work)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--parse", action="store_true", help="read only")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--bind", action="append", default=[], metavar="HERE:THERE",
                        help="a folder of this machine that RUN sees, such as a compiler cache")
    parser.add_argument("--without-gpu", action="store_true",
                        help="CMD must end with 3; the rest runs with --device cpu")
    parser.add_argument("--keep", action="store_true", help="leave the roots")
    return parser.parse_args()


def main():
    options = arguments()
    if options.parse:
        for path in options.files:
            with open(path) as file:
                stages, _ = dockerfile.parse(file.read())
            say(f"{path}: {len(stages)} stages, {sum(len(stage.instructions) for stage in stages)} instructions")
        return 0
    missing = [tool for tool in ("debootstrap", "unshare", "nsenter", "chroot", "ip") if not shutil.which(tool)]
    if missing or os.geteuid() != 0 or len(options.files) != 1:
        print(f"needs root, one FILE and these programs: {missing or 'all there'}", file=sys.stderr)
        return 2
    try:
        check(options)
    except (Failure, RuntimeError, dockerfile.DockerfileError) as error:
        print(f"{options.files[0]}: {error}", file=sys.stderr)
        return 1
    say(f"{options.files[0]}: all checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
