"""What the checks with real clients share: a server of their own, and the count of what held."""

import os
import re
import signal
import subprocess
import sys


class Checks:
    """Called once per check; `failed` are the names of those that did not hold."""

    def __init__(self):
        self.count, self.failed = 0, []

    def __call__(self, name, ok, detail=""):
        self.count += 1
        print(f"{'ok  ' if ok else 'FAIL'} {name}{': ' + str(detail) if detail else ''}",
              flush=True)
        if not ok:
            self.failed.append(name)

    def end(self):
        """The exit status."""
        print(f"{self.count} checks, {len(self.failed)} failed")
        return len(self.failed)


class Server:
    """`mica serve` on a free port, from its ready line on."""

    def __init__(self, mica, model, *flags):
        self.process = subprocess.Popen(
            [mica, "serve", "--model", model, "--port", "0", "--device", "cpu", *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        found = re.match(r"ready: (https?://\S+)  model (\S+)  device (.+)", line)
        if not found:
            sys.exit(f"no ready line, but {line!r}\n{self.process.stderr.read()}")
        self.url, self.model = found[1], found[2]
        self.port = int(self.url.rsplit(":", 1)[1])
        # The log must not fill its pipe.
        os.set_blocking(self.process.stderr.fileno(), False)

    def status(self, key):
        """A number of /proc: VmRSS in kB, Threads."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(key + ":"))

    def end(self, signum=signal.SIGTERM, patience=40):
        """Its exit status."""
        self.process.send_signal(signum)
        return self.process.wait(patience)
