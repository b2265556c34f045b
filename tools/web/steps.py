"""What the checks of the web page share: reporting, pictures, the demo server, steps on the page."""

import re
import signal
import subprocess
import sys
import tempfile
import time

failed = []
pictures = None


def check(name, ok, detail=""):
    print(
        f"{'ok  ' if ok else 'FAIL'} {name}{': ' + str(detail)[:300] if detail != '' and not ok else ''}",
        flush=True,
    )
    if not ok:
        failed.append(name)


def picture(page, name):
    if pictures:
        time.sleep(0.2)
        page.picture(str(pictures / f"{name}.png"))


class Mica:
    def __init__(self, mica, model, *flags):
        # The log goes to a file: a pipe that nobody reads would stop the server.
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [mica, "serve", "--model", model, "--port", "0", "--device", "cpu", *flags],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        found = re.match(
            r"ready: (http://\S+)  model (\S+)  device (.+)", self.process.stdout.readline()
        )
        if not found:
            self.log.seek(0)
            sys.exit(f"no ready line\n{self.log.read()}")
        self.url, self.device = found[1], found[3]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(40)


IDLE = "document.getElementById('stop').hidden"
READY = "document.getElementById('status').dataset.state === 'ok'"
ANSWERS = "document.querySelectorAll('.message.assistant').length"
LAST = "[...document.querySelectorAll('.message.assistant')].at(-1)"
FOCUS = "document.activeElement"


def text(page, expression):
    return page.js(f"({expression})?.textContent ?? null")


def start(page, url):
    page.open(url + "/")
    page.wait(READY)


def say(page, words, wait=True):
    before = page.js(ANSWERS)
    page.js("document.getElementById('composer-text').focus()")
    page.type(words)
    page.key("Enter")
    page.wait(f"{ANSWERS} > {before}")
    if wait:
        page.wait(IDLE)


def end_checks(page, name, url):
    check(f"{name}: nothing complains", page.complaints() == [], page.complaints())
    check(f"{name}: no other host is asked", page.hosts() <= {url.split("//")[1]}, page.hosts())
