"""A person at the console, in a real Chromium: joins, looks, approves, denies, stops, signs out.

Usage: console.py ARX SHOTS [CHROMIUM]

Starts `arx serve --simulate` in a directory of its own and ends it. Keeps a picture of every page in
light and dark under SHOTS. Any error in the browser's console, any dialog, any input without a name
and any serious finding of axe-core fails it.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

ARX, SHOTS = sys.argv[1], pathlib.Path(sys.argv[2])
CHROMIUM = sys.argv[3] if len(sys.argv) > 3 else shutil.which("chromium")
LIBRARY = pathlib.Path(__file__).parents[3] / "library/workflows/critical-vuln-escalation"
PATIENCE_MS = 60_000
NAME, PASSWORD = "alice", "correct horse battery staple"
MARKUP = '<img src=x onerror="alert(1)"><script>alert(2)</script>'


class Site:
    """A state directory, its daemon, and its command line."""

    def __init__(self, home):
        self.home = pathlib.Path(home)
        self.env = {"HOME": home, "ARX_HOME": home + "/state", "USER": "tester"}
        self.daemon = None

    def arx(self, *args):
        done = subprocess.run([ARX, *args], env=self.env, capture_output=True, text=True)
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout

    def register(self, name, why):
        """The escalation, with every page put to a human."""
        bundle = self.home / name
        bundle.mkdir()
        text = (LIBRARY / "arx.yaml").read_text()
        for old, new in [
            ("name: critical-vuln-escalation", f"name: {name}"),
            ("hitl: false", "hitl: true"),
            ("name: page, effect: permit", "name: page, effect: escalate"),
            ("name: page,                 effect: permit", "name: page, effect: escalate"),
        ]:
            text = text.replace(old, new)
        assert "effect: escalate" in text and f"name: {name}" in text
        # It runs when it is asked to, and not every minute.
        left_out = ("description:", "schedule:")
        lines = [line for line in text.splitlines() if not line.strip().startswith(left_out)]
        at = next(i for i, line in enumerate(lines) if f"name: {name}" in line)
        indent = len(lines[at]) - len(lines[at].lstrip())
        if "{" not in lines[at]:
            lines.insert(at + 1, " " * indent + "description: " + json.dumps(why))
        (bundle / "arx.yaml").write_text("\n".join(lines) + "\n")
        source = (LIBRARY / "workflow.py").read_text()
        head = "async def main():\n"
        assert head in source
        (bundle / "workflow.py").write_text(
            source.replace(head, head + f"    arx.log({MARKUP!r})\n")
        )
        self.arx("register", "--config", str(bundle))

    def serve(self):
        self.daemon = subprocess.Popen(
            [ARX, "serve", "--simulate", "--listen", "127.0.0.1:0", "--json"],
            env=self.env, stdout=subprocess.PIPE, stderr=open(self.home / "log", "w"), text=True,
        )
        said = ""
        for line in self.daemon.stdout:
            said += line
            try:
                return json.loads(said)
            except ValueError:
                continue
        raise SystemExit("the daemon ended: " + (self.home / "log").read_text())

    def end(self):
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait(60)


class Person:
    """One browser of one person."""

    def __init__(self, browser, url, scheme, **more):
        self.url, self.scheme, self.wrong = url, scheme, []
        self.context = browser.new_context(
            color_scheme=scheme, viewport={"width": 1280, "height": 900}, **more
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("console", self.heard)
        self.page.on("dialog", lambda dialog: (self.wrong.append("a dialog"), dialog.dismiss()))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))

    def heard(self, message):
        # A page that refuses something on purpose makes Chromium say so.
        if message.type == "error" and "status of 4" not in message.text:
            self.wrong.append(message.text)

    def go(self, path):
        reply = self.page.goto(self.url + path)
        assert reply.ok, (path, reply.status)

    def shot(self, name):
        self.page.screenshot(path=SHOTS / f"{name}-{self.scheme}.png", full_page=True)

    def check(self, name):
        """The page as it is now: a picture, and what assistive technology makes of it."""
        self.shot(name)
        found = Axe().run(self.page).response["violations"]
        bad = [
            f"{one['id']}: {node['html'][:200]}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert not bad, (name, self.scheme, bad)
        assert not self.wrong, (name, self.wrong)

    def sign_in(self, password=PASSWORD):
        self.go("/sign-in")
        self.page.get_by_label("Name").fill(NAME)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()


def join(person, link):
    page = person.page
    page.goto(link)
    person.check("join")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("The same again").fill(PASSWORD)
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    # A link works once.
    page.goto(link)
    expect(page.get_by_text("no good any more")).to_be_visible()


def decide(person, site, workflow, button, reason):
    """Has a run park, and decides on all that it asks for."""
    site.arx("workflows", "run", workflow, "--simulate")
    page = person.page
    link = page.locator("main a[href^='/approvals/apr_']")
    for _ in range(60):
        person.go("/approvals")
        if link.count():
            break
        page.wait_for_timeout(500)
    link.first.click()
    expect(page.get_by_role("button", name="Approve chosen")).to_be_visible()
    if button.startswith("Deny"):
        # A no needs a reason.
        page.get_by_label("Reason").fill(reason)
    person.check("approval")
    page.get_by_role("button", name=button).click()
    expect(page.get_by_text(NAME).first).to_be_visible()


def ended(person, site, workflow):
    """The last run of a workflow, once it has ended."""
    for _ in range(120):
        runs = json.loads(site.arx("runs", "list", "--workflow", workflow, "--json"))["runs"]
        if runs and runs[0]["status"] in ("succeeded", "failed"):
            return runs[0]
        person.page.wait_for_timeout(500)
    raise SystemExit(f"{workflow} does not end: {runs}")


def walk(person, run):
    """Every page, with a picture."""
    page = person.page
    for name, path in [
        ("overview", "/"),
        ("runs", "/runs"),
        ("run", f"/runs/{run}"),
        ("approvals", "/approvals?state=all"),
        ("workflows", "/workflows"),
        ("workflow", "/workflows/critical-vuln-escalation"),
        ("audit", "/audit"),
        ("leaf", "/audit/leaf/3"),
        ("effects", "/effects"),
        ("people", "/people"),
        ("tokens", "/tokens"),
    ]:
        person.go(path)
        expect(page.locator("main h1").first).to_be_visible()
        person.check(name)


def main():
    SHOTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        site = Site(home)
        for name in ["asks-first", "asks-again"]:
            site.register(name, MARKUP)
        told = site.serve()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            story(site, browser, told)
        except BaseException:
            print((pathlib.Path(home) / "log").read_text()[-4000:])
            raise
        finally:
            browser.close()
            site.end()
    print(f"{len(list(SHOTS.glob('*.png')))} pictures in {SHOTS}")


def story(site, browser, told):
    url = told["url"]
    person = Person(browser, url, "light")
    page = person.page

    # Nobody sees anything before signing in.
    person.go("/runs")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    person.check("sign-in")
    join(person, told["first_sign_in"])

    ended(person, site, "critical-vuln-escalation")
    decide(person, site, "asks-first", "Approve chosen", "")
    first = ended(person, site, "asks-first")
    assert first["status"] == "succeeded", first
    decide(person, site, "asks-again", "Deny chosen", "change freeze")
    second = ended(person, site, "asks-again")
    person.go(f"/runs/{second['run_id'] if 'run_id' in second else second['id']}")
    expect(page.get_by_text("change freeze").first).to_be_visible()
    # What a workflow says of itself is text.
    person.go("/workflows/asks-again")
    expect(page.get_by_text("<script>alert(2)</script>").first).to_be_visible()
    run = first["run_id"] if "run_id" in first else first["id"]
    walk(person, run)

    # The stop holds, and is lifted.
    person.go("/workflows/patch-verification")
    page.get_by_label("Why").fill("a storm")
    page.get_by_role("button", name="Stop this workflow").click()
    expect(page.get_by_role("button", name="Lift the stop")).to_be_visible()
    person.check("stopped")
    page.get_by_role("button", name="Lift the stop").click()
    expect(page.get_by_role("button", name="Stop this workflow")).to_be_visible()

    # The keyboard leads there, too.
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/runs")

    # Signing out ends the session, in the browser and on the server.
    cookies = person.context.cookies()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    person.context.add_cookies(cookies)
    person.go("/runs")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    person.sign_in("not the password")
    expect(page.get_by_role("alert")).to_be_visible()
    person.sign_in()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()

    dark = Person(browser, url, "dark")
    dark.go("/sign-in")
    dark.check("sign-in")
    dark.sign_in()
    walk(dark, run)

    # Reading works without JavaScript, and on a small screen.
    plain = Person(browser, url, "light", java_script_enabled=False)
    plain.sign_in()
    plain.go(f"/runs/{run}")
    expect(plain.page.locator("main h1").first).to_be_visible()
    small = Person(browser, url, "light")
    small.page.set_viewport_size({"width": 360, "height": 740})
    small.sign_in()
    for name, path in [("overview", "/"), ("run", f"/runs/{run}"), ("approvals", "/approvals")]:
        small.go(path)
        wide = small.page.evaluate("document.documentElement.scrollWidth")
        small.shot(f"{name}-small")
        assert wide <= 360, f"{name} is {wide} pixels wide on a screen of 360"
    for one in (person, dark, plain, small):
        assert not one.wrong, one.wrong


main()
