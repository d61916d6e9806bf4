"""Runs site_perf, and looks at its pages with Chromium: first paint, and what one change costs the page's script.
  /usr/bin/python3 tests/perf/site_perf.py build/perf/tests/perf/site_perf"""
import pathlib
import statistics
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import browser  # noqa: E402

CHANGES = 40


def main(program):
    site = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line in site.stdout:
        if line.startswith("http://"):
            break
        print(line, end="", flush=True)
    page = browser.Browser()
    try:
        look(page, line.strip(), site.stdin)
    finally:
        page.close()
        site.stdin.close()
        site.wait()


def look(page, url, stdin):
    page.open(url + "healthz")  # so that Chromium is warm
    page.open(url)
    paint = page.run("return performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    loaded = page.run("const n = performance.getEntriesByType('navigation')[0]; return [n.domContentLoadedEventEnd, n.decodedBodySize]")
    print(f"page: {loaded[1] / 1e6:.1f} MB, first paint after {paint:.0f} ms, whole after {loaded[0]:.0f} ms")
    page.until_text("live", "#live")
    page.run("performance.clearMeasures()")
    pause = threading.Event()
    for _ in range(CHANGES):
        stdin.write("\n")
        stdin.flush()
        pause.wait(0.25)
    times = page.run("return performance.getEntriesByName('update').map(e => e.duration)")
    print(f"{len(times)} updates: half within {statistics.median(times):.1f} ms of script, longest {max(times):.1f} ms")


main(sys.argv[1])
