"""When a brain is on the screen, told by the browser itself: for the benchmarks that measure how long a visitor waits."""

import time

LEAST = 10_000  # vertices of a draw call that is a surface
# Notes for each canvas when its first surface is on the screen: a draw call of so many vertices, its frame ended, its pixels
# computed. Also when a file was chosen or a button clicked last, and when the views last painted something new.
WATCH = """least => {
    window.drawnAt = [];
    window.actedAt = 0;
    const seen = new WeakSet();
    for (const context of [WebGLRenderingContext, WebGL2RenderingContext])
        for (const [name, at] of [["drawElements", 1], ["drawArrays", 2]]) {
            const draw = context.prototype[name];
            context.prototype[name] = function (...given) {
                draw.apply(this, given);
                if (given[at] < least || seen.has(this)) return;
                seen.add(this);
                requestAnimationFrame(() => {
                    this.readPixels(0, 0, 1, 1, this.RGBA, this.UNSIGNED_BYTE, new Uint8Array(4));
                    window.drawnAt.push(performance.now());
                });
            };
        }
    for (const act of ["change", "click"])
        addEventListener(act, () => { window.actedAt = performance.now(); }, { capture: true });
}"""


def watched(driver, **options):
    """A page in a browser context of its own, nothing of it cached, that notes what is painted."""
    page = driver.new_context(viewport={"width": 1280, "height": 800}, **options).new_page()
    page.add_init_script(f"({WATCH})({LEAST})")
    return page


def until(page, script, what, seconds=120):
    """What a script in a page returns, once it returns anything but nothing: ``wait_for_function`` needs eval, which pages forbid."""
    end = time.monotonic() + seconds
    while not (answer := page.evaluate(script)):
        if time.monotonic() > end:
            raise TimeoutError(f"{page.url}: {what} within {seconds} s")
        time.sleep(0.03)
    return answer


def drawn(page, url, views=1):
    """Seconds from asking for a page to so many surfaces on the screen."""
    page.goto(url, wait_until="commit")
    return until(page, f"window.drawnAt[{views - 1}]", f"no {views} surfaces were drawn") / 1000


def another(page, act):
    """Seconds from the last click or choice of a file in ``act()`` to one more surface on the screen than before."""
    before = page.evaluate("window.drawnAt.length")
    act()
    at = until(page, f"window.drawnAt[{before}]", "no other surface was drawn")
    return (at - page.evaluate("window.actedAt")) / 1000


def repainted(page, view, act):
    """Seconds from the last click or choice of a file in ``act()`` to a view's next new maps on the screen."""
    view.evaluate("""root => {
        window.repaintedAt = 0;
        const watch = new MutationObserver(() => { window.repaintedAt ||= performance.now(); watch.disconnect(); });
        watch.observe(root, { attributeFilter: ["data-painted"] });
    }""")
    act()
    return (until(page, "window.repaintedAt", "nothing was painted anew") - page.evaluate("window.actedAt")) / 1000
