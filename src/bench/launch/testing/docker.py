#!/usr/bin/env python3
"""Docker's command line for tests: containers are processes of this machine, all state is files in
the folder $FAKE_DOCKER:
  images.json   name -> {"id", "digest", "program": [...], "here": bool}; a missing one can't be pulled
  info.json     what `docker info` answers, beside its defaults
  broken        text of the daemon's error: no command works
  pull_error, run_error, inspect_error, image_rm_error   likewise of one command
  calls         every call, a JSON list a line
  containers/ID/{config.json,log,pid,exit}"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import uuid

home = pathlib.Path(os.environ["FAKE_DOCKER"])
containers = home / "containers"
containers.mkdir(parents=True, exist_ok=True)
if sys.argv[1:2] != ["--shim"]:
    with open(home / "calls", "a") as calls:
        calls.write(json.dumps(sys.argv[1:]) + "\n")


def fail(text, status=1):
    print(text, file=sys.stderr)
    sys.exit(status)


def text_of(name):
    path = home / name
    return path.read_text() if path.exists() else ""


def images():
    return json.loads(text_of("images.json") or "{}")


def find_image(name):
    for key, image in images().items():
        digest = image.get("digest")
        if name in (key, image["id"], digest) or digest and name == key + digest[digest.index("@"):]:
            return key, image
    return name, None


def save_image(name, image):
    every = images()
    every[name] = image
    (home / "images.json").write_text(json.dumps(every))


def folders():
    return [f for f in sorted(containers.iterdir()) if (f / "config.json").exists()]


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def find_container(key):
    for folder in folders():
        if folder.name.startswith(key) or config_of(folder)["name"] == key:
            return folder
    fail(f"Error response from daemon: No such container: {key}")


def pid_of(folder):
    path = folder / "pid"
    return int(path.read_text() or 0) if path.exists() else 0


def lives(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# The shim that writes `exit` may have been killed.
def is_running(folder):
    return pid_of(folder) > 0 and not (folder / "exit").exists() and lives(pid_of(folder))


def send(folder, number):
    try:
        os.kill(pid_of(folder), number)
    except ProcessLookupError:
        pass


def option(words, name):
    for i, word in enumerate(words):
        if word == name:
            return words[i + 1]
        if word.startswith(name + "="):
            return word[len(name) + 1:]
    return None


def info(words):
    value = {"ServerVersion": "28.2.2", "Runtimes": {"runc": {}, "nvidia": {}}}
    value.update(json.loads(text_of("info.json") or "{}"))
    print(json.dumps(value))
    print("WARNING: No swap limit support", file=sys.stderr)


def image_inspect(words):
    name, image = find_image(words[-1])
    if not image or not image["here"]:
        fail(f"Error response from daemon: No such image: {words[-1]}")
    digests = [image["digest"]] if image.get("digest") else []
    print(json.dumps({"Id": image["id"], "RepoDigests": digests, "Created": "2026-01-02T03:04:05Z",
                      "Size": 12345}))


def image_rm(words):
    if text_of("image_rm_error"):
        fail(text_of("image_rm_error"))
    name, image = find_image(words[-1])
    if not image or not image["here"]:
        fail(f"Error response from daemon: No such image: {words[-1]}")
    image["here"] = False
    save_image(name, image)
    print("Untagged: " + name)


def pull(words):
    name, image = find_image(words[-1])
    print("v1: Pulling from " + name, flush=True)
    if text_of("pull_slow"):
        time.sleep(1000)
    if text_of("pull_error"):
        fail(text_of("pull_error"))
    if not image:
        fail(f"Error response from daemon: manifest for {name} not found: manifest unknown: manifest unknown")
    print("0123456789ab: Download complete\nStatus: Downloaded newer image for " + name)
    image["here"] = True
    save_image(name, image)


def build(words):
    name = option(words, "--tag")
    stdin = sys.stdin.read() if option(words, "--file") == "-" else ""
    (home / "build.json").write_text(json.dumps(
        {"words": words, "dockerfile": stdin, "token": os.environ.get("BUILD_TOKEN", "")}))
    if text_of("build_error"):
        fail(text_of("build_error"))
    print("#1 [internal] load build definition")
    _, image = find_image(name)
    save_image(name, dict(image or {"program": [], "id": "sha256:" + "b" * 64}, here=True))


# Options of `docker run` without a value; all others have one.
PLAIN = {"--ipc=host", "--privileged"}


def run(words):
    options, values = {}, []
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in PLAIN or "=" in word and word.startswith("--"):
            continue
        options.setdefault(word, []).append(words.pop(0))
    name, image = find_image(words.pop(0))
    if text_of("run_error"):
        fail("docker: " + text_of("run_error"), 125)
    if not image:
        fail(f"Unable to find image '{name}' locally", 125)
    key = uuid.uuid4().hex * 2
    folder = containers / key
    folder.mkdir()
    labels = dict(label.split("=", 1) for label in options.get("--label", []))
    environment = {"PATH": os.environ["PATH"]}
    for variable in options.get("--env", []):
        pair = variable.partition("=")
        environment[pair[0]] = pair[2] if pair[1] else os.environ.get(pair[0], "")
    host_port = options["-p"][0].split(":")[-2] if "-p" in options else "0"
    environment["FAKE_PORT"] = host_port
    config = {"name": options.get("--name", [key[:12]])[0], "image": name, "labels": labels,
              "port": host_port, "command": image["program"] + words, "environment": environment,
              "oom": bool(text_of("oom"))}
    (folder / "config.tmp").write_text(json.dumps(config))
    os.rename(folder / "config.tmp", folder / "config.json")
    if "--cidfile" in options:
        pathlib.Path(options["--cidfile"][0]).write_text(key)
    start(folder)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _: send(folder, n))
    follow(folder)


def start(folder):
    """Through a shim that outlives the client, as the daemon does; nothing of the client's
    environment, by which Mica knows its own processes."""
    (folder / "log").touch()
    subprocess.Popen([sys.executable, __file__, "--shim", str(folder)], start_new_session=True,
                     env={"FAKE_DOCKER": str(home)}, stdin=subprocess.DEVNULL,
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def shim(folder):
    config = config_of(folder)
    argv = [word.replace("FAKE_PORT", config["port"]) for word in config["command"]]
    with open(folder / "log", "ab") as log:
        try:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     env=config["environment"], start_new_session=True)
        except OSError:
            log.write(f'exec: "{argv[0]}": executable file not found in $PATH\n'.encode())
            log.flush()
            (folder / "exit").write_text("127")
            return
        (folder / "pid.tmp").write_text(str(child.pid))
        os.rename(folder / "pid.tmp", folder / "pid")
        if (folder / "removed.json").exists():
            child.kill()
        status = child.wait()
        (folder / "exit.tmp").write_text(str(status if status >= 0 else 128 - status))
        os.rename(folder / "exit.tmp", folder / "exit")


def follow(folder):
    with open(folder / "log", "rb") as log:
        while True:
            ended = (folder / "exit").exists() or not folder.exists()
            data = log.read()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            if ended and not data:
                break
            time.sleep(0.02)
    sys.exit(int(text_of(folder / "exit") or 137))


def container_inspect(words):
    if text_of("inspect_error"):
        fail(text_of("inspect_error"))
    folder = find_container(words[-1])
    config = config_of(folder)
    exit_text = text_of(folder / "exit")
    running = is_running(folder)
    state = {"Status": "running" if running else "exited" if exit_text else "created",
             "Running": running, "OOMKilled": config["oom"] and not running,
             "ExitCode": int(exit_text or 0), "Error": "", "Pid": pid_of(folder) if running else 0}
    print(json.dumps({"Id": folder.name, "Name": "/" + config["name"], "State": state,
                      "Config": {"Image": config["image"], "Labels": config["labels"]}}))


def ps(words):
    every = "--all" in words
    kind, _, wanted = option(words, "--filter").partition("=")
    for folder in folders():
        config = config_of(folder)
        if not every and not is_running(folder):
            continue
        label, _, value = wanted.partition("=")
        if kind == "label" and config["labels"].get(label) == value:
            print(folder.name)
        if kind == "publish" and config["port"] == wanted:
            print(folder.name)


def top(words):
    print("PID")
    print(pid_of(find_container(words[0])))


def kill(words):
    send(find_container(words[-1]), getattr(signal, "SIG" + (option(words, "--signal") or "KILL")))


def wait_end(folder, seconds):
    until = time.time() + seconds
    while is_running(folder) and time.time() < until:
        time.sleep(0.02)


def stop(words):
    folder = find_container(words[-1])
    send(folder, signal.SIGTERM)
    wait_end(folder, float(option(words, "-t")))
    if is_running(folder):
        send(folder, signal.SIGKILL)
        wait_end(folder, 5)


def rm(words):
    folder = find_container(words[-1])
    os.rename(folder / "config.json", folder / "removed.json")  # before: a shim that starts it looks
    if is_running(folder):
        send(folder, signal.SIGKILL)
        wait_end(folder, 5)


words = sys.argv[1:]
if words[:1] == ["--shim"]:
    shim(pathlib.Path(words[1]))
    sys.exit(0)
if text_of("broken"):
    fail(text_of("broken"))
commands = {("info",): info, ("image", "inspect"): image_inspect, ("image", "rm"): image_rm,
            ("pull",): pull, ("build",): build,
            ("run",): run, ("container", "inspect"): container_inspect, ("ps",): ps, ("top",): top,
            ("kill",): kill, ("stop",): stop, ("rm",): rm}
for head, command in commands.items():
    if tuple(words[:len(head)]) == head:
        command(words[len(head):])
        break
else:
    fail(f"docker: '{' '.join(words)}' is not a docker command.")
