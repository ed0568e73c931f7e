"""Open the built site in a browser without a window, and look for what a reader would stumble over.

    make docs && python docs/check_site.py        # needs Debian's chromium and chromium-driver, and selenium

Every page: no console errors, no dead internal links or anchors, pictures that load, no scrolling sideways at 1280
pixels or at the width of a phone, a copy button on each block of code. The gallery shows its pictures, the button
copies, the search finds.
Screenshots of some pages go to docs/_build/screenshots.
"""

import argparse
import functools
import http.server
import re
import shutil
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

HERE = Path(__file__).parent
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
SHOWN = (
    "index",
    "quickstart",
    "photographs",
    "symmetries",
    "how_it_works",
    "dials",
    "my_data",
    "evidence/accuracy",
    "api/index",
    "auto_examples/index",
    "auto_examples/plot_03_fit_on_your_classifier",
)
LINKS = """return [...document.querySelectorAll('a[href], img[src], link[href], script[src]')]
           .map(e => e.href || e.src).filter(u => typeof u === 'string' && u.startsWith(location.origin))"""
BROKEN = """return [...document.images].filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.src)"""
EAGER = "document.querySelectorAll('img[loading=lazy]').forEach(i => i.loading = 'eager')"
BARE = """return [...document.querySelectorAll('div.highlight')].filter(
          b => !b.closest('.sphx-glr-script-out') && !b.querySelector('button.copybtn')).length"""
TOO_WIDE = """const wide = document.documentElement.clientWidth + 1;
  if (document.documentElement.scrollWidth <= wide) return null;
  const seen = [...document.querySelectorAll('article *')].filter(e => e.getBoundingClientRect().right > wide);
  const shown = seen.slice(0, 3).map(e => e.outerHTML.slice(0, 80)).join(' | ');
  return document.documentElement.scrollWidth + ' px: ' + shown"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that prints nothing."""

    def log_message(self, *args: object) -> None:
        """Nothing."""


def serve(folder: Path) -> str:
    """Serve a folder on a free port of this machine; the address."""
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def browser() -> webdriver.Chrome:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or sys.exit("chromium is not installed: apt install chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = shutil.which("chromedriver") or sys.exit("chromedriver is not installed: apt install chromium-driver")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


class Site:
    """The built site and a browser on it; ``problems`` grows."""

    def __init__(self, folder: Path, shots: Path) -> None:
        self.folder, self.shots, self.problems = folder, shots, list[str]()
        self.base, self.chrome = serve(folder), browser()
        self.pages = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.html"))
        self.anchors: dict[str, set[str]] = {}
        self.resize(1280, 900)

    def resize(self, width: int, height: int) -> None:
        """A screen of that size."""
        desktop = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", desktop)

    def check(self, ok: object, page: str, text: str) -> None:
        """Note a problem unless ``ok``."""
        if not ok:
            self.problems.append(f"{page}: {text}")
            print(f"PROBLEM {page}: {text}", flush=True)

    def open(self, page: str) -> None:
        """Load a page with all its pictures."""
        self.chrome.get(self.base + page)
        self.chrome.execute_script(EAGER)
        wait = WebDriverWait(self.chrome, 20, poll_frequency=0.05)
        wait.until(lambda chrome: chrome.execute_script("return [...document.images].every(i => i.complete)"))

    def visit(self, page: str) -> None:
        """All checks of one page."""
        self.open(page)
        for link in self.chrome.execute_script(LINKS):
            self.check(self.exists(link), page, f"dead link {link.removeprefix(self.base)}")
        for picture in self.chrome.execute_script(BROKEN):
            self.check(False, page, f"picture {picture} does not load")
        self.check(not (bare := self.chrome.execute_script(BARE)), page, f"{bare} code blocks without a copy button")
        self.check(
            not (wide := self.chrome.execute_script(TOO_WIDE)), page, f"too wide for a screen of 1280 px, {wide}"
        )
        self.shoot(page, "desktop")
        self.scheme("dark")
        self.shoot(page, "dark")
        self.scheme("light")
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
        self.check(not (wide := self.chrome.execute_script(TOO_WIDE)), page, f"too wide for a phone, {wide}")
        self.shoot(page, "phone")
        self.resize(1280, 900)
        for entry in self.chrome.get_log("browser"):
            self.check(entry["level"] not in ("SEVERE", "WARNING"), page, f"console: {entry['message']}")

    def scheme(self, name: str) -> None:
        """What a reader's system prefers: light or dark."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def exists(self, link: str) -> bool:
        """Whether an internal link has a file, and its anchor an element."""
        address, anchor = urldefrag(link)
        path = unquote(urlparse(address).path).lstrip("/") or "index.html"
        path = path + "index.html" if path.endswith("/") else path
        file = self.folder / path
        if not file.is_file():
            return False
        if not anchor or file.suffix != ".html":
            return True
        if path not in self.anchors:
            self.anchors[path] = set(re.findall(r'\bid="([^"]+)"', file.read_text()))
        return unquote(anchor) in self.anchors[path]

    def shoot(self, page: str, kind: str) -> None:
        """A screenshot of some pages."""
        name = page.removesuffix(".html")
        if name in SHOWN:
            self.chrome.save_screenshot(str(self.shots / f"{name.replace('/', '-')}-{kind}.png"))

    def gallery(self) -> None:
        """As many thumbnails as examples, all of them drawn, and a picture on each example's page."""
        self.open("auto_examples/index.html")
        drawn = "return [...document.querySelectorAll('{}')].filter(i => i.naturalWidth > 0).length"
        examples = [page for page in self.pages if page.startswith("auto_examples/plot_")]
        thumbnails = self.chrome.execute_script(drawn.format(".sphx-glr-thumbcontainer img"))
        self.check(thumbnails == len(examples) > 10, "gallery", f"{thumbnails} thumbnails of {len(examples)} examples")
        for page in examples:
            self.open(page)
            pictures = self.chrome.execute_script(drawn.format("img.sphx-glr-single-img, img.sphx-glr-multi-img"))
            self.check(pictures, page, "an example without a picture")

    def copying(self) -> None:
        """The first copy button of the quick start puts its block into the clipboard."""
        self.open("quickstart.html")
        grant = {"origin": self.base.rstrip("/"), "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
        self.chrome.execute_cdp_cmd("Browser.grantPermissions", grant)
        block = self.chrome.find_element("css selector", "div.highlight-python div.highlight")
        text = block.find_element("css selector", "pre").text
        button = block.find_element("css selector", "button.copybtn")
        webdriver.ActionChains(self.chrome).move_to_element(block).move_to_element(button).click().perform()
        read = "const done = arguments[0]; navigator.clipboard.readText().then(done, e => done('' + e))"
        try:
            same = lambda chrome: chrome.execute_async_script(read).strip() == text.strip()  # noqa: E731
            WebDriverWait(self.chrome, 10).until(same)
        except Exception:
            self.check(False, "quickstart", f"copied {self.chrome.execute_async_script(read)!r} for {text!r}")

    def searching(self) -> None:
        """The search finds the class, on an API page among others."""
        self.chrome.get(self.base + "search.html?q=LearnedAffineAugment")
        found = "return [...document.querySelectorAll('#search-results li a')].map(a => a.href)"
        WebDriverWait(self.chrome, 20).until(lambda chrome: chrome.execute_script(found))
        hits = self.chrome.execute_script(found)
        self.check(any("/api/" in hit for hit in hits), "search", f"no hit on an API page among {hits}")


def main() -> None:
    """All checks; exits with an error if there is a problem."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--html", type=Path, default=HERE / "_build" / "html")
    options = parser.parse_args()
    if not (options.html / "index.html").is_file():
        raise SystemExit(f"--html must hold the built site, got {options.html}: run make docs first")
    shots = HERE / "_build" / "screenshots"
    shots.mkdir(parents=True, exist_ok=True)
    site = Site(options.html, shots)
    try:
        for page in site.pages:
            site.visit(page)
        site.gallery()
        site.copying()
        site.searching()
    finally:
        site.chrome.quit()
    print(f"{len(site.pages)} pages opened, {len(site.problems)} problems")
    sys.exit(bool(site.problems))


if __name__ == "__main__":
    main()
