"""Headless Chromium over the DevTools protocol's pipe: nothing but the standard library."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-gpu",
    "--hide-scrollbars",
    "--mute-audio",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
]
KEYS = {
    "Enter": (13, "\r"),
    "Tab": (9, ""),
    "Escape": (27, ""),
    "ArrowUp": (38, ""),
    "ArrowDown": (40, ""),
    "End": (35, ""),
    "Backspace": (8, ""),
    " ": (32, " "),
}


class Browser:
    def __init__(self, program=None):
        program = program or shutil.which("chromium") or shutil.which("google-chrome")
        if not program:
            raise SystemExit("no Chromium: install the package chromium, or name it with --browser")
        self.profile = tempfile.mkdtemp(prefix="mica-web-")
        theirs_in, self.out = os.pipe()
        self.inp, theirs_out = os.pipe()

        def wire():  # the protocol's pipes are descriptors 3 and 4
            read, write = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"],
            preexec_fn=wire,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.buffer, self.number, self.events = b"", 0, []

    def call(self, method, session=None, patience=30, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        wanted, end = self.number, time.monotonic() + patience
        while True:
            answer = self.receive(end - time.monotonic())
            if answer is None:
                raise TimeoutError(f"no answer to {method}")
            if answer.get("id") == wanted:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    # One message, or None when `patience` seconds pass. Events are kept in `events`.
    def receive(self, patience):
        while b"\0" not in self.buffer:
            if patience <= 0 or not select.select([self.inp], [], [], patience)[0]:
                return None
            piece = os.read(self.inp, 1 << 20)
            if not piece:
                raise RuntimeError("the browser has ended")
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def page(self, **kwargs):
        return Page(self, **kwargs)

    def close(self):
        try:
            self.call("Browser.close", patience=5)
            self.process.wait(10)
        except Exception:
            self.process.kill()
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    """A tab with storage of its own."""

    def __init__(self, browser, width=1280, height=800, dark=False, touch=False, reduced=False):
        self.browser = browser
        self.context = browser.call("Target.createBrowserContext")["browserContextId"]
        target = browser.call(
            "Target.createTarget", url="about:blank", browserContextId=self.context
        )
        self.session = browser.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.size(width, height, touch)
        self.media(dark, reduced)

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    def size(self, width, height, touch=False):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=touch,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)

    def media(self, dark=False, reduced=False):
        self.call(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                {
                    "name": "prefers-reduced-motion",
                    "value": "reduce" if reduced else "no-preference",
                },
            ],
        )

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href.startsWith('http')")

    def reload(self):
        self.js("window.isOld = true; 0")
        self.call("Page.reload")
        self.wait("!window.isOld && document.readyState === 'complete'")

    def js(self, expression):
        result = self.call(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]))
        return result["result"].get("value")

    def wait(self, condition, patience=20):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                if self.js(condition):
                    return True
            except RuntimeError:
                pass  # between two documents
            time.sleep(0.05)
        raise TimeoutError(f"never came: {condition}")

    def key(self, key, shift=False):
        code, text = KEYS[key] if key in KEYS else (ord(key.upper()), key)
        common = {
            "key": key,
            "code": key if len(key) > 1 else f"Key{key.upper()}",
            "windowsVirtualKeyCode": code,
            "modifiers": 8 if shift else 0,
        }
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def click(self, selector):
        box = self.js(f"""(() => {{
            const e = document.querySelector({json.dumps(selector)});
            e.scrollIntoView({{block: 'nearest'}});
            const b = e.getBoundingClientRect();
            return [b.x + b.width / 2, b.y + b.height / 2, b.width * b.height];
        }})()""")
        if not box or box[2] == 0:
            raise RuntimeError(f"nothing to click: {selector}")
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )

    def picture(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    # What the page complained about: exceptions, policy violations, errors of the console.
    def complaints(self):
        self.js("0")  # everything before it has come
        out = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                out.append(details.get("exception", {}).get("description", details["text"]))
            if (
                event["method"] == "Log.entryAdded"
                and params["entry"]["level"] == "error"
                and params["entry"]["source"] != "network"
            ):
                out.append(params["entry"]["text"])
            if event["method"] == "Runtime.consoleAPICalled" and params["type"] in (
                "error",
                "assert",
            ):
                out.append(
                    " ".join(str(a.get("value", a.get("description"))) for a in params["args"])
                )
        return out

    # Hosts that requests went to.
    def hosts(self):
        from urllib.parse import urlsplit

        return {
            urlsplit(e["params"]["request"]["url"]).netloc
            for e in self.browser.events
            if e["method"] == "Network.requestWillBeSent"
            and e.get("sessionId") == self.session
            and e["params"]["request"]["url"].startswith("http")
        }
