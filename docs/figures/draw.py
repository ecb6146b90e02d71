"""Draws the figures of docs/concepts.md: `python docs/figures/draw.py` writes them beside itself.

Plain SVG, without a library: the files are small, and their text can be searched.
"""

from pathlib import Path
from xml.sax.saxutils import escape

from timebill_ros.core.expected_eviction import in_time_probability
from timebill_ros.core.time_model import TimeModel

BLUE, GREEN, YELLOW, RED, GREY, INK = (
    '#2f6db3',
    '#2f8f4e',
    '#b58a1c',
    '#b3362f',
    '#8a97a8',
    '#1b2430',
)
PALE = {BLUE: '#e6f0fb', GREEN: '#e8f6ec', YELLOW: '#fff3d6', RED: '#fbe8e6', GREY: '#eef1f5'}
EXAMPLE = TimeModel(a=4e-8, b=3e-4, c=0.01, p=1.2e-6, q=0.004, e1=1e-5, e0=0.002, delta=0.3)
"""Times of no particular machine: the worth curve shows how it bends, not how fast anything is."""


class Drawing:
    """Collects the parts of a figure."""

    def __init__(self, title: str, width: int, height: int) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" role="img" '
            f'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">',
            f'<title>{escape(title)}</title>',
            f'<rect x="1" y="1" width="{width - 2}" height="{height - 2}" rx="10" '
            f'fill="#ffffff" stroke="{GREY}"/>',
        ]

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """Add a box."""
        self._parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3" '
            f'fill="{PALE[colour]}" stroke="{colour}"/>'
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, colour: str = INK, dash: str = ''
    ) -> None:
        """Add a line."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ''
        self._parts.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" '
            f'stroke-width="1.5"{dashed}/>'
        )

    def curve(self, points: list[tuple[float, float]], colour: str) -> None:
        """Add a curve through points."""
        path = ' '.join(f'{x:.1f},{y:.1f}' for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        anchor: str = 'middle',
        size: int = 13,
        colour: str = INK,
    ) -> None:
        """Add a line of text."""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}" '
            f'fill="{colour}">{escape(words)}</text>'
        )

    def svg(self) -> str:
        """Return the file."""
        return '\n'.join([*self._parts, '</svg>', ''])


def deadline() -> Drawing:
    """When a query's time begins and ends."""
    drawing = Drawing('From the stamp of a query to its deadline', 720, 190)
    drawing.box(60, 80, 70, 36, GREY)
    drawing.box(130, 80, 90, 36, YELLOW)
    drawing.box(220, 80, 380, 36, GREEN)
    drawing.box(600, 80, 50, 36, RED)
    for x, words in ((95, 'transport'), (175, 'queue'), (410, 'the model works')):
        drawing.text(x, 103, words)
    for x, words, colour in (
        (60, 'stamp', INK),
        (130, 'arrival', INK),
        (600, 'last moment', RED),
        (650, 'deadline', RED),
    ):
        drawing.line(x, 62, x, 130, colour)
        drawing.text(x + (24 if x == 650 else 0), 54 if x != 600 else 40, words, colour=colour)
    drawing.line(60, 152, 650, 152)
    drawing.text(355, 172, 'time_budget')
    drawing.text(625, 146, 'publish_reserve', size=11)
    return drawing


def budget() -> Drawing:
    """A bill: what was predicted beside what was measured."""
    drawing = Drawing('A bill: predicted and measured times within the time budget', 720, 220)
    rows = (
        (50, 'predicted', ((200, 'prefill'), (40, 'evict'), (190, 'decode'))),
        (110, 'measured', ((210, 'prefill'), (36, 'evict'), (150, 'decode'))),
    )
    for y, name, items in rows:
        drawing.text(20, y + 23, name, anchor='start')
        x = 150.0
        if name == 'measured':
            drawing.box(110, y, 40, 36, YELLOW)
            drawing.text(130, y + 23, 'queue', size=11)
        for (width, item), colour in zip(items, (BLUE, GREY, GREEN), strict=True):
            drawing.box(x, y, width, 36, colour)
            drawing.text(x + width / 2, y + 23, item, size=13 if width > 45 else 11)
            x += width
        if name == 'measured':
            drawing.text((x + 670) / 2, y + 23, 'slack')
            drawing.line(x, y + 30, 670, y + 30, GREY)
    drawing.line(640, 40, 640, 158, YELLOW, '5 4')
    drawing.text(640, 178, 'worst case', colour=YELLOW)
    drawing.line(670, 40, 670, 158, RED)
    drawing.text(676, 34, 'deadline', colour=RED)
    drawing.text(
        360,
        205,
        'The worst case counts k times the predicted length, and adds the margins to the times.',
        size=12,
    )
    return drawing


def worth() -> Drawing:
    """The worth of an answer against the eviction ratio, for three budgets."""
    drawing = Drawing('Worth of an answer against the eviction ratio', 720, 320)
    left, top, width, height = 70.0, 40.0, 600.0, 210.0
    drawing.line(left, top + height, left + width, top + height)
    drawing.line(left, top, left, top + height)
    drawing.text(left + width / 2, 290, 'eviction ratio alpha')
    drawing.text(20, 24, 'worth: (1 - alpha) * P(in time)', anchor='start')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        drawing.text(left + share * width, top + height + 18, f'{share:g}', size=11)
        drawing.text(left - 8, top + (1 - share) * height + 4, f'{share:g}', 'end', 11)
    prompt, answer = 4096, 200
    for left_s, colour in ((2.6, GREEN), (1.6, BLUE), (1.15, RED)):
        points = []
        for step in range(97):
            alpha = step / 100
            kept = round((1 - alpha) * prompt)
            mean_s = EXAMPLE.t_after_prefill(prompt, kept, answer)
            value = (1 - alpha) * in_time_probability(mean_s, EXAMPLE.spread(), left_s)
            points.append((left + alpha * width, top + (1 - value) * height))
        drawing.curve(points, colour)
        best = min(points, key=lambda point: point[1])
        drawing.line(best[0], best[1], best[0], top + height, colour, '3 4')
        y = min(best[1] + 34, top + height - 12)
        drawing.text(best[0] + 8, y, f'{left_s:g} s left', 'start', 12, colour)
    drawing.text(
        360,
        310,
        "Example times, of no particular machine. Dashed: the ratio that policy 'expected' takes.",
        size=11,
    )
    return drawing


def eviction() -> Drawing:
    """Which tokens of a prompt stay in the cache."""
    drawing = Drawing('Which prompt tokens stay in the cache after an eviction', 720, 170)
    kept = {0, 1, 9, 10, 11, 18, 24, 25, 31, 32, 33, 34}
    for row, (y, name) in enumerate(((50, 'after the prefill'), (105, 'after the eviction'))):
        drawing.text(20, y + 18, name, anchor='start')
        for token in range(35):
            if row == 0 or token in kept:
                colour = (
                    GREY
                    if token not in kept
                    else (YELLOW if token < 2 else RED if token > 30 else GREEN)
                )
                drawing.box(150 + 15.5 * token, y, 13, 26, colour)
    drawing.text(164, 40, 'first 4', size=11, colour=YELLOW)
    drawing.text(655, 40, 'last 16', size=11, colour=RED)
    drawing.text(400, 40, 'most attended to by the end of the prompt', size=11, colour=GREEN)
    drawing.text(
        400,
        155,
        'Each decoding step reads what is left. The tokens keep their positions. (Not to scale.)',
        size=12,
    )
    return drawing


def prefix() -> Drawing:
    """What a second prompt need not read again."""
    drawing = Drawing('Two prompts that begin alike', 720, 170)
    for y, question, colour in ((36, 'question 1', BLUE), (92, 'question 2', GREEN)):
        drawing.box(30, y, 130, 36, GREY if y > 50 else BLUE)
        drawing.text(95, y + 23, 'system prompt')
        drawing.box(160, y, 330, 36, GREY if y > 50 else BLUE)
        drawing.text(325, y + 23, 'context: map, manual, log')
        drawing.box(490, y, 120, 36, colour)
        drawing.text(550, y + 23, question)
    drawing.text(620, 59, 'all is read', 'start', 12, BLUE)
    drawing.text(620, 115, 'this is read', 'start', 12, GREEN)
    drawing.line(30, 138, 490, 138, GREY)
    drawing.text(260, 155, 'cached_tokens: kept from the first prompt', size=12)
    return drawing


if __name__ == '__main__':
    for figure in (deadline, budget, worth, eviction, prefix):
        path = Path(__file__).with_name(f'{figure.__name__}.svg')
        path.write_text(figure().svg(), encoding='utf-8')
