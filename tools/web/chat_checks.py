"""Checks of the chat: asking, keys, what answers may hold, files."""

import json
import pathlib
import re
import tempfile
import time

from web.steps import (
    ANSWERS,
    FOCUS,
    IDLE,
    LAST,
    READY,
    check,
    end_checks,
    picture,
    say,
    start,
    text,
)


def demo_chat(browser, mica):
    page = browser.page()
    start(page, mica.url)
    check(
        "demo: the device is shown",
        mica.device in text(page, "document.getElementById('status-text')"),
    )
    picture(page, "demo-empty")
    page.click("#open-settings")
    for key, value in (("max_tokens", "24"), ("temperature", "0"), ("seed", "7")):
        page.js(f"document.getElementById('set-{key}').focus()")
        page.type(value)
    say(page, "Hello!")
    first = text(page, f"{LAST}.querySelector('.body')")
    stats = text(page, f"{LAST}.querySelector('.stats')")
    check("demo: an answer", bool(first), first)
    check(
        "demo: tokens and device",
        re.search(r"\d+ tokens? · ", stats) and mica.device in stats,
        stats,
    )
    picture(page, "demo-answer")
    say(page, "Tell me more.")
    page.js(f"{LAST}.querySelector('.actions').lastChild.click()")  # Regenerate
    page.wait(f"{IDLE} && {ANSWERS} === 2")
    check(
        "demo: regenerated", text(page, f"{LAST}.querySelector('.actions')").endswith("Regenerate")
    )
    shown = page.js("document.getElementById('messages').innerText")
    page.reload()
    page.wait(READY)
    check(
        "demo: a reload keeps the conversation",
        page.js("document.getElementById('messages').innerText") == shown,
    )
    check(
        "demo: a reload keeps the settings",
        page.js("document.getElementById('set-max_tokens').value") == "24",
    )
    # Stopping: more tokens than come before Escape.
    page.js(
        "(() => { const e = document.getElementById('set-max_tokens'); e.value = '1800';"
        " e.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    page.js("document.getElementById('composer-text').focus()")
    page.type("Tell me a long story.")
    page.key("Enter")
    page.wait(f"{ANSWERS} === 3")
    page.key("Escape")
    page.wait(IDLE, 5)
    stats = text(page, f"{LAST}.querySelector('.stats')")
    check("demo: Escape stops", stats.startswith("stopped") or "token" in stats, stats)
    end_checks(page, "demo", mica.url)


def keyboard(browser, fake):
    page = browser.page()
    start(page, fake.url)
    page.wait(f"{FOCUS}.id === 'composer-text'")
    page.type("first")
    page.key("Enter", shift=True)
    check("keyboard: Shift+Enter begins a line", page.js(f"{FOCUS}.value") == "first\n")
    page.type("second")
    page.key("Enter")
    page.wait(f"{ANSWERS} === 1 && {IDLE}")
    check("keyboard: Enter sends", fake.bodies[-1]["messages"][-1]["content"] == "first\nsecond")
    check("keyboard: focus stays in the field", page.js(f"{FOCUS}.id") == "composer-text")
    # Editing the last message with the arrow, Enter sends it.
    page.key("ArrowUp")
    check("keyboard: arrow up edits", page.js(f"{FOCUS}.value") == "first\nsecond")
    page.key("Escape")
    check("keyboard: Escape leaves editing", page.js("document.querySelector('.editing') === null"))
    page.js("document.getElementById('composer-text').focus()")
    page.key("ArrowUp")
    page.js(f"{FOCUS}.select()")
    page.type("edited")
    page.key("Enter")
    page.wait(
        f"{IDLE} && document.getElementById('messages').innerText.includes('You said: edited')"
    )
    check(
        "keyboard: an edited message replaces what followed",
        page.js(ANSWERS) == 1 and len(fake.bodies[-1]["messages"]) == 1,
    )
    # Everything by Tab: each stop is seen and has a name.
    page.reload()
    page.wait(READY)
    page.js(
        "document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')"
    )
    stops, nameless, unseen = [], [], []
    for _ in range(60):
        page.key("Tab")
        stop = page.js(f"""(() => {{
            const e = {FOCUS};
            if (e === document.body) return null;
            const s = getComputedStyle(e), wrap = e.closest('#composer');
            const seen = s.outlineStyle !== 'none' || (wrap && getComputedStyle(wrap).boxShadow !== 'none');
            const box = e.getBoundingClientRect();
            const name = e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.[0]?.textContent;
            return {{id: e.id || e.className || e.tagName, name: Boolean(name), seen: Boolean(seen) && box.width > 0}};
        }})()""")
        if stop is None:
            break
        stops.append(stop["id"])
        nameless += [] if stop["name"] else [stop["id"]]
        unseen += [] if stop["seen"] else [stop["id"]]
    check(
        "keyboard: Tab comes to all",
        {
            "skip",
            "open-list",
            "to-load",
            "theme",
            "open-settings",
            "new-chat",
            "export",
            "composer-text",
            "send",
        }
        <= set(stops),
        stops,
    )
    check("keyboard: each stop has a name", nameless == [], nameless)
    check("keyboard: each stop is seen", unseen == [], unseen)
    # Stop with Escape, from the field.
    say(page, "endless", wait=False)
    page.wait(f"({LAST}.innerText).includes('word 5')")
    gone = fake.gone
    page.key("Escape")
    page.wait(IDLE, 5)
    check(
        "keyboard: Escape stops",
        text(page, f"{LAST}.querySelector('.stats')").startswith("stopped"),
    )
    time.sleep(0.3)
    check("keyboard: the server sees that the reader has gone", fake.gone == gone + 1)
    # Rename and delete, by keys.
    page.js("document.querySelector('[data-does=rename]').focus()")
    page.key("Enter")
    page.type("My name")
    page.key("Enter")
    check(
        "keyboard: renamed",
        text(page, "document.querySelector('#conversations .open')") == "My name",
    )
    page.js("document.querySelector('[data-does=remove]').focus()")
    page.key("Enter")
    check(
        "keyboard: deleted", page.js("document.querySelectorAll('#conversations li').length") == 0
    )
    page.js("document.querySelector('#toast button').focus()")
    page.key("Enter")
    check(
        "keyboard: undone",
        text(page, "document.querySelector('#conversations .open')") == "My name",
    )
    end_checks(page, "keyboard", fake.url)


def answers(browser, fake):
    page = browser.page()
    start(page, fake.url)
    say(page, "sample")
    shown = page.js(f"{LAST}.querySelector('.body').innerText")
    check(
        "answers: Markdown is drawn",
        "Binary search, briefly" in shown and "**" not in shown and "|--" not in shown,
    )
    check(
        "answers: code has its colours", page.js(f"{LAST}.querySelectorAll('.hl-word').length") > 5
    )
    page.js(f"{LAST}.querySelector('.copy').click()")
    page.wait(f"{LAST}.querySelector('.copy').textContent.startsWith('Cop')")
    check(
        "answers: usage and timings",
        "212 tokens · 62 tokens/s" in text(page, f"{LAST}.querySelector('.stats')"),
    )
    for kind in ("think", "think tags"):
        say(page, kind)
        check(
            f"answers: {kind}: folded",
            page.js(
                f"!{LAST}.querySelector('.thoughts').hidden && !{LAST}.querySelector('.thoughts').open"
            ),
        )
        check(
            f"answers: {kind}: text apart",
            text(page, f"{LAST}.querySelector('.body')") == "Both are mild today.",
        )
        page.js(f"{LAST}.querySelector('.thoughts').open = true")
        page.wait(f"{LAST}.querySelector('.thoughts').innerText.includes('Find the weather')")
        picture(page, "thoughts")
    say(page, "tools")
    calls = page.js(
        f"[...{LAST}.querySelectorAll('.call')].map((c) => c.querySelector('code').textContent + c.querySelector('pre').textContent)"
    )
    check(
        "answers: tool calls",
        len(calls) == 2 and '"city": "Zürich"' in calls[0] and calls[1].startswith("get_weather"),
        calls,
    )
    picture(page, "tools")
    page.js(
        f"[...{LAST}.querySelectorAll('.results textarea')].forEach((e, i) => e.value = `${{i + 4}} degrees`)"
    )
    page.js(f"{LAST}.querySelector('.results').requestSubmit()")
    page.wait(f"{IDLE} && {LAST}.innerText.includes('5 degrees')")
    sent = fake.bodies[-1]["messages"][-3:]
    check(
        "answers: results are sent",
        [m["role"] for m in sent] == ["assistant", "tool", "tool"]
        and sent[1]["tool_call_id"] == sent[0]["tool_calls"][0]["id"]
        and sent[1]["content"] == "4 degrees",
        sent,
    )
    check(
        "answers: thoughts are not sent back",
        not any("<think>" in m["content"] or "reasoning" in m for m in fake.bodies[-1]["messages"]),
    )
    say(page, "limit")
    check(
        "answers: the limit is told", "token limit" in text(page, f"{LAST}.querySelector('.stats')")
    )
    # Another conversation, while one is answered.
    say(page, "endless", wait=False)
    page.click("#new-chat")
    say(page, "meanwhile")
    check(
        "answers: two conversations at one time",
        "You said: meanwhile" in text(page, LAST)
        and page.js("document.querySelectorAll('.busy').length") == 1,
    )
    page.js("document.querySelectorAll('#conversations .open')[1].click()")
    page.wait(f"({LAST}.innerText).includes('word') && !{IDLE}")
    page.click("#stop")
    page.wait(IDLE)
    files(page)
    end_checks(page, "answers", fake.url)


def files(page):
    before = page.js("document.querySelectorAll('#conversations li').length")
    with tempfile.TemporaryDirectory() as folder:
        page.browser.call(
            "Browser.setDownloadBehavior",
            behavior="allow",
            downloadPath=folder,
            browserContextId=page.context,
        )
        page.click("#export")
        end, saved = time.monotonic() + 10, []
        while not saved and time.monotonic() < end:
            time.sleep(0.1)
            saved = list(pathlib.Path(folder).glob("mica-*.json"))
        exported = saved[0].read_text() if saved else "{}"
    check("files: export", len(json.loads(exported).get("conversations", [])) == before, exported)
    page.js("localStorage.clear()")
    page.js(
        f"""(() => {{ const t = new DataTransfer(); t.items.add(new File([{json.dumps(exported)}], 'a.json'));
        const i = document.getElementById('import-file'); i.files = t.files;
        i.dispatchEvent(new Event('change', {{bubbles: true}})); }})()"""
    )
    page.wait(f"document.querySelectorAll('#conversations li').length === {before}")
    check("files: import", "imported" in text(page, "document.getElementById('toast')"))
