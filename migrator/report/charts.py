"""
The page's two charts, as SVG that stands in it: no script, nothing from elsewhere.

Owns pygal. A chart is handed numbers and words of ours only, never a text that a service chose. Its
colours are the names of those that the page's own style sheet has, so it is as light or dark as
the page; beside each the page has the same numbers as a table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pygal
from pygal.style import Style

from migrator.report.labels import STATES
from migrator.report.summary import StateCounts
from migrator.states import State

WIDTH = 960
_INK, _MUTED, _LINE = "var(--ink)", "var(--muted)", "var(--line)"


def standings(states: Mapping[State, StateCounts], title: str) -> str:
    """A bar for each state: how many of its contacts are free, in doubt and held."""
    chart = _chart(pygal.HorizontalStackedBar, "standings", height=210)
    rows = list(STATES)[::-1]  # the first one stands at the top
    chart.x_labels = [str(state) for state in rows]
    chart.add("free", [states[state].free for state in rows])
    chart.add("in doubt", [states[state].in_doubt for state in rows])
    chart.add("held", [states[state].held for state in rows])
    return _svg(chart, title)


def throughput(
    times: Sequence[str], created: Sequence[int], found: Sequence[int], title: str
) -> str:
    """A bar for each stretch of time: leads answered for at once, and those found later."""
    chart = _chart(pygal.StackedBar, "throughput", height=270)
    chart.x_labels = times
    chart.x_labels_major_count = min(6, len(times))
    chart.show_minor_x_labels = False
    chart.add("answered at once", created)
    chart.add("in doubt, then found", found)
    return _svg(chart, title)


def _chart(kind: Any, name: str, height: int) -> Any:
    chart = kind(
        style=Style(
            background="none",
            plot_background="none",
            foreground=_MUTED,
            foreground_strong=_INK,
            foreground_subtle=_LINE,
            guide_stroke_color=_LINE,
            major_guide_stroke_color=_LINE,
            colors=("var(--first)", "var(--second)", "var(--third)"),
            value_colors=(_INK,) * 3,
            font_family="inherit",
            opacity="1",
            opacity_hover="1",
            transition="0s",
            label_font_size=13,
            major_label_font_size=13,
        ),
        js=[],
        disable_xml_declaration=True,
        show_legend=False,  # the page has one, of words
        width=WIDTH,
        height=height,
        margin=4,
        spacing=8,
        truncate_label=-1,  # whole
        order_min=0,  # there is no half of a contact
        max_scale=6,
        value_formatter=lambda value: f"{value:,.0f}",
    )
    chart.uuid = name  # by chance otherwise: the same ledger makes the same page
    return chart


def _svg(chart: Any, title: str) -> str:
    chart.add_xml_filter(lambda root: _still(root, title))
    svg: str = chart.render()
    return svg


def _still(root: Any, title: str) -> Any:
    """Take out what only a script would use, and name the picture for those who do not see it."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag == "script" or _is_overlay(child):
                parent.remove(child)
        _say_on_hover(parent)
    root.find("title").text = title
    root.set("role", "img")
    root.set("aria-label", title)
    return root


def _is_overlay(node: Any) -> bool:
    return "overlay" in node.get("class", "")


def _say_on_hover(node: Any) -> None:
    """What pygal notes for its script becomes a title, which browsers show by themselves."""
    notes = {note.get("class"): note for note in node.findall("desc")}
    if "value" in notes:
        said = [notes[name].text for name in ("x_label", "value") if name in notes]
        title = notes["value"].makeelement("title", {})
        title.text = ": ".join(said)
        node.insert(0, title)
    for note in notes.values():
        node.remove(note)
