"""What is seen in the terminal: one bar for each endpoint, redrawn in place."""

import shutil
import sys

COLOURS = {"web-1": 36, "web-2": 32, "web-3": 35}


class Display:
    """Draws shares in place on a terminal; elsewhere only `say` prints."""

    def __init__(self):
        self._live = sys.stdout.isatty()
        self._lines = 0

    def say(self, text=""):
        """A line that stays."""
        self._clear()
        print(text, flush=True)

    def shares(self, title, counts, down, failed):
        """`counts`: answers by endpoint in the last moment."""
        if not self._live:
            return
        width = max(10, min(50, shutil.get_terminal_size().columns - 32))
        total = sum(counts.values())
        lines = [title]
        for name in sorted(counts):
            share = counts[name] / total if total else 0.0
            bar = "█" * round(share * width)
            note = "stopped" if name in down else f"{share:4.0%}"
            lines.append(f"  {name}  \033[{COLOURS.get(name, 37)}m{bar:<{width}}"
                         f"\033[0m {note:>8} {counts[name]:>6}")
        colour = 31 if failed else 32
        lines.append(f"  failed requests: \033[{colour}m{failed}\033[0m")
        self._clear()
        print("\n".join(lines), flush=True)
        self._lines = len(lines)

    def _clear(self):
        if self._lines:
            print(f"\033[{self._lines}F\033[J", end="")
            self._lines = 0
