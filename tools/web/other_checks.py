"""Checks of hostile answers, troubles, looks, the page of the load, and the modules' own tests."""

import re
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


def unit_tests(browser, fake):
    page = browser.page()
    page.open(fake.url + "/web/tests/unit.html")
    page.wait("window.results !== undefined", 120)
    results = page.js("window.results")
    check(f"modules: {results['checks']} checks", results["failures"] == [], results["failures"])
    for failure in results["failures"]:
        print("     ", failure)


def hostile(browser, fake):
    page = browser.page()
    start(page, fake.url)
    page.js(
        """document.addEventListener('securitypolicyviolation', (e) => (window.violations ??= []).push(e.violatedDirective))"""
    )
    say(page, "hostile")
    page.js(
        f"{LAST}.querySelectorAll('*').forEach((e) => {{ for (const t of ['mouseover', 'load', 'error', 'begin']) e.dispatchEvent(new Event(t)); }})"
    )
    page.js(
        f"{LAST}.querySelectorAll('a').forEach((a) => {{ a.target = ''; a.addEventListener('click', (e) => e.preventDefault()); a.click(); }})"
    )
    check("hostile: nothing ran", page.js("window.pwned === undefined"), page.js("window.pwned"))
    check(
        "hostile: no element of another kind",
        page.js(
            f"{LAST}.querySelectorAll('script, img, iframe, form, style, svg, object, embed, body input:not([disabled])').length"
        )
        == 0,
    )
    check(
        "hostile: only safe links",
        page.js(
            f"[...{LAST}.querySelectorAll('a')].every((a) => /^(https?|mailto):/.test(a.protocol))"
        ),
    )
    check(
        "hostile: it is shown as text",
        "<script>window.pwned = 1</script>" in text(page, f"{LAST}.querySelector('.body')"),
    )
    check(
        "hostile: the policy had nothing to stop",
        page.js("window.violations === undefined"),
        page.js("window.violations"),
    )
    check(
        "hostile: titles are text",
        page.js("document.querySelector('#conversations script') === null"),
    )
    # Were there a hole, the policy would stop it.
    stopped = page.js(
        """(() => { try { document.createElement('div').innerHTML = '<b>'; return false; } catch { return true; } })()"""
    )
    check("hostile: markup from text is forbidden", stopped)
    picture(page, "hostile")
    storage = page.browser.page()
    storage.open(fake.url + "/")
    storage.js(
        """(() => { localStorage.setItem('mica.title.x', '{"title":{"a":1}}'); localStorage.setItem('mica.chat.x', '{"messages":[{"role":"assistant","content":5,"toolCalls":{}}]}');
        localStorage.setItem('mica.title.y', 'no json'); localStorage.setItem('mica.chat.y', '['); localStorage.setItem('mica.last', 'y'); localStorage.setItem('mica.settings', '7'); })()"""
    )
    storage.reload()
    storage.wait(READY)
    storage.js("[...document.querySelectorAll('#conversations .open')].forEach((b) => b.click())")
    say(storage, "still works")
    end_checks(storage, "hostile: broken storage", fake.url)


def troubles(browser, fake):
    page = browser.page()
    start(page, fake.url)
    say(page, "busy")
    trouble = f"{LAST}.querySelector('.trouble')"
    check(
        "troubles: a full queue",
        "The queue is full" in text(page, trouble) and "3 s" in text(page, trouble),
        text(page, trouble),
    )
    picture(page, "trouble")
    check(
        "troubles: it offers another try",
        text(page, f"{LAST}.querySelector('.actions')").endswith("Try again"),
    )
    say(page, "fail late")
    check(
        "troubles: a late error keeps the text",
        text(page, f"{LAST}.querySelector('.body')") == "It begins"
        and "device was lost" in text(page, trouble),
    )
    say(page, "cut")
    check(
        "troubles: a cut stream is told",
        "before the answer’s end" in text(page, trouble),
        text(page, trouble),
    )
    fake.loading = 2
    say(page, "patience", wait=False)
    page.wait(f"({LAST}.innerText).includes('still loading')")
    picture(page, "loading")
    page.wait(IDLE)
    check("troubles: waits while the model loads", "You said: patience" in text(page, LAST))
    say(page, "key")
    page.wait(f"{FOCUS}.id === 'set-key'")
    check("troubles: asks for a key", "API key" in text(page, trouble))
    page.type("secret")
    page.js(f"{LAST}.querySelector('.actions').lastChild.click()")
    page.wait(f"{IDLE} && ({LAST}.innerText).includes('You said: key')")
    check(
        "troubles: the key is for this tab only",
        page.js(
            "sessionStorage.getItem('mica.key') === 'secret' && !JSON.stringify(localStorage).includes('secret')"
        ),
    )
    page.js("document.getElementById('set-top_p').focus()")
    page.type("7")
    check(
        "troubles: a wrong field is marked",
        text(page, "document.getElementById('set-top_p-problem')") == "At most 1",
    )
    page.call(
        "Network.emulateNetworkConditions",
        offline=True,
        latency=0,
        downloadThroughput=-1,
        uploadThroughput=-1,
    )
    say(page, "nobody there")
    check(
        "troubles: an unreachable server",
        "can’t be reached" in text(page, trouble),
        text(page, trouble),
    )
    page.call(
        "Network.emulateNetworkConditions",
        offline=False,
        latency=0,
        downloadThroughput=-1,
        uploadThroughput=-1,
    )
    end_checks(page, "troubles", fake.url)


def looks(browser, fake):
    for name, kind in {
        "light": {},
        "dark": {"dark": True},
        "phone": {"width": 360, "height": 740, "touch": True, "reduced": True},
    }.items():
        page = browser.page(**kind)
        start(page, fake.url)
        picture(page, f"{name}-empty")
        for words in ("sample", "tools"):
            page.js("document.getElementById('composer-text').focus()")
            page.type(words)
            page.click("#send")
            page.wait(f"{IDLE} && {ANSWERS} > 0")
            time.sleep(0.2)
        page.js("document.getElementById('scroller').scrollTop = 0")
        picture(page, f"{name}-chat")
        wide = page.js(
            """[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 &&
            !e.closest('pre, .table, .drawer, .offscreen')).map((e) => e.className || e.id || e.tagName)"""
        )
        check(
            f"{name}: nothing is wider than the window",
            wide == [] and page.js("document.documentElement.scrollWidth <= innerWidth"),
            wide,
        )
        back = page.js("getComputedStyle(document.body).backgroundColor")
        check(
            f"{name}: the theme",
            (sum(map(int, re.findall(r"\d+", back)[:3])) < 200) == (name == "dark"),
            back,
        )
        for drawer in ("settings", "list"):
            if (
                page.js(f"document.getElementById('open-{drawer}').getAttribute('aria-expanded')")
                == "true"
            ):
                continue
            page.click(f"#open-{drawer}")
            picture(page, f"{name}-{drawer}")
            if name == "phone":
                page.key("Escape")
                check(
                    f"phone: Escape closes {drawer}",
                    page.js(
                        f"document.getElementById('open-{drawer}').getAttribute('aria-expanded')"
                    )
                    == "false",
                )
        if name == "phone":
            moving = page.js(
                """[...document.querySelectorAll('*')].some((e) => getComputedStyle(e).animationName !== 'none')"""
            )
            check("phone: reduced motion is kept", not moving)
        if name == "light":
            page.click("#theme")
            check(
                "theme: the button turns it",
                page.js("document.documentElement.dataset.theme") == "dark",
            )
            page.reload()
            check("theme: it is kept", page.js("document.documentElement.dataset.theme") == "dark")
            page.click("#theme")
        page.open(fake.url + "/#load")
        time.sleep(1.5)
        check(f"{name}: load fits", page.js("document.documentElement.scrollWidth <= innerWidth"))
        picture(page, f"{name}-load")
        end_checks(page, name, fake.url)


def load(browser, fake, mica):
    page = browser.page(height=1000)
    page.open(fake.url + "/#load")
    page.wait("document.querySelectorAll('.card').length === 7")
    page.wait("[...document.querySelectorAll('.card dd')].every((e) => e.textContent !== '–')", 15)
    values = page.js(
        "Object.fromEntries([...document.querySelectorAll('.card')].map((c) => [c.querySelector('h2').textContent, [...c.querySelectorAll('dd')].map((e) => e.textContent)]))"
    )
    check("load: rates", 700 < float(values["Tokens per second"][1]) < 1100, values)
    check(
        "load: quantiles",
        values["Time between tokens"][0].endswith("ms")
        and abs(float(values["Time between tokens"][0].split()[0]) - 21) < 4,
        values,
    )
    page.js("document.getElementById('load-all').open = true")
    page.wait("document.querySelectorAll('#load-rows tr').length > 20")
    page.js(
        "(() => { const e = document.getElementById('load-filter'); e.value = 'waiting'; e.dispatchEvent(new Event('input')); })()"
    )
    check("load: the filter", page.js("document.querySelectorAll('#load-rows tr').length") == 1)
    page.js("document.getElementById('load-all').open = false")
    # Hidden pages ask for nothing.
    asked = lambda: sum(
        e["method"] == "Network.requestWillBeSent"
        and e["params"]["request"]["url"].endswith("/metrics")
        and e.get("sessionId") == page.session
        for e in browser.events
    )
    page.js("location.hash = '#chat'")
    time.sleep(0.5)
    page.js("0")
    before = asked()
    time.sleep(2.2)
    page.js("0")
    check("load: pauses when it is not seen", asked() == before and before >= 2, (before, asked()))
    fake.has_metrics = False
    page.js("location.hash = '#load'")
    page.wait("document.getElementById('load-note').textContent.includes('no /metrics')")
    check("load: says that /metrics is missing", True)
    fake.has_metrics = True
    end_checks(page, "load", fake.url)
    real = browser.page()
    real.open(mica.url + "/#load")
    real.wait("document.getElementById('load-note').textContent !== 'Asking for /metrics'")
    check(
        "load: of the demo server",
        re.search("no /metrics|From /metrics", text(real, "document.getElementById('load-note')")),
    )
    end_checks(real, "load of the demo", mica.url)
