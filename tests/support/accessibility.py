"""Checks of a page in a browser: accessibility by axe-core, and what needs sideways scrolling."""

from functools import cache
from pathlib import Path
from typing import Any

import selenium_axe_python
from selenium.webdriver import Chrome

RUN_AXE = """
    const done = arguments[arguments.length - 1];
    axe.run(document, {preload: false, resultTypes: ["violations"]}).then(result => done(result.violations));
"""
"""Without preloading: axe-core would load style sheets again and insert them, which our policy forbids."""
OUT_OF_SIGHT = """
    const isCut = element => {
        for (let outer = element.parentElement; outer; outer = outer.parentElement) {
            if (outer.scrollWidth > outer.clientWidth && getComputedStyle(outer).overflowX !== "visible") return true;
        }
        const place = element.getBoundingClientRect();
        return place.width === 0 || place.left < 0 || place.right > innerWidth;
    };
    const found = [...document.querySelectorAll(arguments[0])];
    return found.length ? found.filter(isCut).map(element => element.outerHTML) : ["nothing is found"];
"""


def serious_violations(chrome: Chrome) -> list[str]:
    """Return the violations on the present page that axe-core calls serious or critical, with their elements."""
    chrome.execute_script(_axe_core())
    violations: list[dict[str, Any]] = chrome.execute_async_script(RUN_AXE)
    return [
        f"{one['impact']} {one['id']} at {[node['target'] for node in one['nodes']]}: {one['help']}"
        for one in violations
        if one["impact"] in {"serious", "critical"}
    ]


def out_of_sight(chrome: Chrome, selector: str) -> list[str]:
    """Return the elements of a CSS selector that are not wholly visible without sideways scrolling."""
    return list(chrome.execute_script(OUT_OF_SIGHT, selector))


@cache
def _axe_core() -> str:
    return (Path(selenium_axe_python.__file__).parent / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
