"""Starts an image as a container engine would, with process 1, network and mounts of its own."""
import ctypes
import json
import os
import shlex
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

from . import root

CLONE_NEWNET = 0x40000000


class Container:
    """One run of the image: `arguments` replace CMD, `user` (uid, gid) replaces USER."""

    def __init__(self, image, volumes, log, arguments=None, user=None):
        self.image, self.log, self.user = image, log, user or image.ids()[:2]
        command = [*(image.entrypoint or []), *(arguments if arguments is not None else image.cmd or [])]
        with open(log, "w") as out:
            self.process = subprocess.Popen(
                image.command_line(command, user=self.user, network=False, binds=volumes),
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    def pid(self):
        """Process 1 of the container as it is called here."""
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        for _ in range(100):
            try:
                with open(children) as file:
                    if found := file.read().split():
                        return int(found[0])
            except FileNotFoundError:
                break
            time.sleep(0.05)
        raise RuntimeError("the container has no process:\n" + root.tail(self.log))

    def execute(self, command, timeout):
        """(status, output) of a command inside; a status of None is a timeout."""
        enter = ["nsenter", f"--target={self.pid()}", "--mount", "--pid", "--net", "--root",
                 f"--setuid={self.user[0]}", f"--setgid={self.user[1]}", "/usr/bin/env", "-i",
                 "-C", self.image.workdir,
                 *(f"{name}={value}" for name, value in self.image.full_env().items()), *command]
        try:
            done = subprocess.run(enter, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=timeout)
            return done.returncode, (done.stdout + done.stderr).strip()
        except subprocess.TimeoutExpired:
            return None, f"no end within {timeout:g} s"

    def health(self):
        check = self.image.healthcheck
        return self.execute(check["command"], check["timeout"])

    def in_network(self, function):
        """Calls `function` on a thread inside of the container's network."""
        result = []

        def work():
            libc = ctypes.CDLL(None, use_errno=True)
            namespace = os.open(f"/proc/{self.pid()}/ns/net", os.O_RDONLY)
            try:
                if libc.setns(namespace, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                result.append(function())
            except Exception as error:  # handed to the caller's thread
                result.append(error)
            finally:
                os.close(namespace)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]

    def post(self, path, body, timeout=120):
        request = urllib.request.Request(f"http://127.0.0.1:{self.image.ports[0]}{path}",
                                         json.dumps(body).encode(), {"Content-Type": "application/json"})

        def ask():
            try:
                with urllib.request.urlopen(request, timeout=timeout) as response:
                    return response.status, json.load(response)
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()

        return self.in_network(ask)

    def listens_everywhere(self):
        """Whether the first exposed port is bound to all addresses, as publishing it needs."""
        wanted = f":{self.image.ports[0]:04X}"
        for name, every in (("tcp", "0" * 8), ("tcp6", "0" * 32)):
            with open(f"/proc/{self.pid()}/net/{name}") as file:
                for line in file.readlines()[1:]:
                    fields = line.split()
                    if fields[1] == every + wanted and fields[3] == "0A":
                        return True
        return False

    def send(self, name):
        os.kill(self.pid(), signal.Signals[name])

    def wait(self, timeout):
        """The exit status; None when it does not end."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()  # takes the container's process 1 along
            self.process.wait()

    def command_text(self):
        return shlex.join([*(self.image.entrypoint or []), *(self.image.cmd or [])])
