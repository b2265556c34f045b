#!/usr/bin/env python3
"""Drives the web page in a headless Chromium: against `mica serve` with the demo model, and against a
server that misbehaves (tools/web/fake.py). Needs Chromium (Debian: chromium) and Python, no packages.

    tools/check_web.py --mica build/mica --model models/demo [--pictures DIR] [--only NAME]

Prints one line per check; the exit status is the number of failed ones.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from web import chat_checks, other_checks, steps  # noqa: E402
from web.browser import Browser  # noqa: E402
from web.fake import FakeServer  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mica", default="build/mica")
    parser.add_argument("--model", default="models/demo")
    parser.add_argument("--browser", help="Chromium's program")
    parser.add_argument("--pictures", type=pathlib.Path, help="folder for screenshots")
    parser.add_argument("--only", help="run the part of this name alone")
    options = parser.parse_args()
    steps.pictures = options.pictures
    if steps.pictures:
        steps.pictures.mkdir(parents=True, exist_ok=True)
    browser, fake, mica = (
        Browser(options.browser),
        FakeServer(),
        steps.Mica(options.mica, options.model),
    )
    parts = {
        "unit": lambda: other_checks.unit_tests(browser, fake),
        "demo": lambda: chat_checks.demo_chat(browser, mica),
        "keyboard": lambda: chat_checks.keyboard(browser, fake),
        "answers": lambda: chat_checks.answers(browser, fake),
        "hostile": lambda: other_checks.hostile(browser, fake),
        "troubles": lambda: other_checks.troubles(browser, fake),
        "looks": lambda: other_checks.looks(browser, fake),
        "load": lambda: other_checks.load(browser, fake, mica),
    }
    try:
        for name, part in parts.items():
            if options.only in (None, name):
                try:
                    part()
                except (TimeoutError, RuntimeError) as error:
                    steps.check(f"{name}: goes to its end", False, error)
    finally:
        browser.close()
        mica.end()
    print(f"{len(steps.failed)} failed")
    sys.exit(min(len(steps.failed), 100))


if __name__ == "__main__":
    main()
