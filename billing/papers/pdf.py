"""Sets a paper as PDF: A4, one family of letters, embedded. The same paper is the same bytes.

The letters cover Latin, Greek and Cyrillic with all their accents. Others are shown as a box.
"""

from __future__ import annotations

import logging
from datetime import UTC
from pathlib import Path
from typing import Any

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from billing.models import Paper

from .figures import amount, money, price

FONTS = Path(__file__).parent / "fonts"
FAMILY = "Noto Sans"
# Millimetres.
LEFT, RIGHT, TOP, BOTTOM = 22, 22, 20, 24
WIDTH = 210 - LEFT - RIGHT
AMOUNT_WIDTH, PRICE_WIDTH, QUANTITY_WIDTH = 30, 32, 26
LABEL_WIDTH = 34
INK, MUTED, PINE, LINE = (26, 38, 34), (96, 110, 104), (16, 74, 60), (214, 222, 218)
TINT = (240, 246, 243)

# It tells of each table it writes, and of each letter there is no picture of.
logging.getLogger("fontTools").setLevel(logging.WARNING)
logging.getLogger("fpdf").setLevel(logging.ERROR)


def render(paper: Paper) -> bytes:
    """The paper as PDF."""
    sheet = _Sheet(paper)
    sheet.head()
    sheet.parties()
    sheet.lines()
    sheet.sums()
    sheet.foot_notes()
    return bytes(sheet.output())


class _Sheet(FPDF):
    def __init__(self, paper: Paper) -> None:
        super().__init__(format="A4")
        self.paper, self.printed = paper, paper.content
        self.issued_at = paper.issued_at.astimezone(UTC)
        # Otherwise the moment of rendering, which differs each time.
        self.set_creation_date(self.issued_at)
        self.set_title(f"{self.printed['title']} {paper.number}")
        self.set_author(self.printed["seller"]["name"])
        self.set_lang("en")
        self.add_font(FAMILY, "", FONTS / "NotoSans-Regular.ttf")
        self.add_font(FAMILY, "B", FONTS / "NotoSans-Bold.ttf")
        self.set_margins(LEFT, TOP, RIGHT)
        self.c_margin = 0  # text begins where lines do
        self.set_auto_page_break(auto=True, margin=BOTTOM)
        self.alias_nb_pages("{pages}")
        self.add_page()

    # --- Pieces -----------------------------------------------------------------------------------

    def head(self) -> None:
        """Whose paper it is, what it is, its number and date."""
        printed = self.printed
        self.set_fill_color(*PINE)
        self.rect(0, 0, 210, 3, style="F")
        self._write(printed["seller"]["name"], size=13, bold=True, colour=PINE, width=WIDTH / 2)
        self.set_xy(LEFT, TOP + 14)
        self._write(printed["title"], size=24, bold=True)
        self.ln(2)
        rows = [["Number", self.paper.number], ["Date", f"{self.issued_at:%-d %B %Y}"]]
        for label, words in [*rows, *printed["about"]]:
            self._pair(label, words)
        self.ln(8)

    def parties(self) -> None:
        """Seller and buyer side by side."""
        top, column = self.get_y(), WIDTH / 2
        ends = [
            self._party("From", self.printed["seller"], LEFT, top, column - 8),
            self._party("To", self.printed["buyer"], LEFT + column, top, column),
        ]
        self.set_xy(LEFT, max(ends) + 8)

    def lines(self) -> None:
        self._line_heads()
        for line in self.printed["lines"]:
            self._line(line)

    def sums(self) -> None:
        printed, total = self.printed, self.printed["total_cents"]
        self.ln(3)
        if self.will_page_break(40):
            self.add_page()
        tax = printed["tax_cents"]
        if tax:
            self._sum("Without tax", total - tax)
            self._sum("Tax", tax)
        self.set_fill_color(*TINT)
        self._sum(printed["total_words"], total, is_total=True)
        if not tax:
            self._write(printed["no_tax"], size=8.5, colour=MUTED, align="R")
        if printed["paid_with"]:
            words = "Back to" if total < 0 else "Paid with"
            self._write(f"{words} {printed['paid_with']}", size=9.5, align="R")

    def foot_notes(self) -> None:
        if self.printed["note"]:
            self.ln(6)
            self._write(self.printed["note"], size=9, colour=MUTED)

    def footer(self) -> None:
        """FPDF calls it at the end of each page."""
        self.set_y(-16)
        self._font(8, colour=MUTED)
        words = f"{self.printed['seller']['name']} · {self.printed['title']} {self.paper.number}"
        self.cell(WIDTH, 5, f"{words} · page {self.page_no()} of {{pages}}")

    # --- Parts of them ----------------------------------------------------------------------------

    def _pair(self, label: str, words: str) -> None:
        self._font(9.5, colour=MUTED)
        self.cell(LABEL_WIDTH, 5.4, label)
        self._font(9.5)
        self.multi_cell(WIDTH - LABEL_WIDTH, 5.4, words, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _party(
        self, label: str, who: dict[str, Any], left: float, top: float, width: float
    ) -> float:
        """One of the two. Returns where it ends."""
        self.set_xy(left, top)
        texts = [(label, 8.5, False, MUTED), (who["name"], 10.5, True, INK)]
        texts += [(line, 9.5, False, INK) for line in who["address"]]
        if who["tax_id"]:
            texts.append((f"Tax id {who['tax_id']}", 9.5, False, INK))
        for words, size, bold, colour in texts:
            if words:
                self.set_x(left)
                self._write(words, size=size, bold=bold, colour=colour, width=width)
        return self.get_y()

    def _line_heads(self) -> None:
        self._font(8.5, colour=MUTED)
        self.set_draw_color(*LINE)
        for width, words, align in self._columns("Description", "Quantity", "Price", "Amount"):
            self.cell(width, 7, words, border="B", align=align)
        self.ln(7)

    def _line(self, line: dict[str, Any]) -> None:
        self._font(10)
        cells = self._columns(line["name"], line["quantity"], price(line), amount(line))
        name_width = cells[0][0]
        wrapped: Any = self.multi_cell(name_width, 5.4, line["name"], dry_run=True, output="LINES")
        height = 5.4 * len(wrapped) + 4
        if self.will_page_break(height):
            self.add_page()
            self._line_heads()
            self._font(10)
        top = self.get_y()
        self.set_xy(LEFT, top + 2)
        self.multi_cell(name_width, 5.4, line["name"], align="L")
        self.set_xy(LEFT + name_width, top + 2)
        for width, words, align in cells[1:]:
            self.cell(width, 5.4, words, align=align)
        self.set_draw_color(*LINE)
        self.line(LEFT, top + height, LEFT + WIDTH, top + height)
        self.set_xy(LEFT, top + height)

    def _columns(self, name: str, quantity: str, price: str, amount: str) -> list[Any]:
        """Width, words and side of each. Only a paper with quantities has columns for them."""
        has_quantities = any(line["quantity"] for line in self.printed["lines"])
        middle = [(QUANTITY_WIDTH, quantity, "R"), (PRICE_WIDTH, price, "R")]
        middle = middle if has_quantities else []
        rest = WIDTH - AMOUNT_WIDTH - sum(width for width, _, _ in middle)
        return [(rest, name, "L"), *middle, (AMOUNT_WIDTH, amount, "R")]

    def _sum(self, label: str, cents: int, *, is_total: bool = False) -> None:
        width, height = 78, 10 if is_total else 6.5
        self.set_x(LEFT + WIDTH - width)
        self._font(12 if is_total else 10, bold=is_total, colour=PINE if is_total else INK)
        self.cell(
            width - AMOUNT_WIDTH - 4, height, f"  {label}" if is_total else label, fill=is_total
        )
        self.cell(
            AMOUNT_WIDTH + 4,
            height,
            f"{money(cents)}  " if is_total else money(cents),
            align="R",
            fill=is_total,
            new_x=XPos.LMARGIN,
            new_y=YPos.NEXT,
        )
        if is_total:
            self.ln(2)

    def _write(
        self,
        words: str,
        *,
        size: float,
        bold: bool = False,
        colour: tuple[int, int, int] = INK,
        width: float = WIDTH,
        align: str = "L",
    ) -> None:
        self._font(size, bold=bold, colour=colour)
        self.multi_cell(width, size * 0.52, words, align=align, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def _font(self, size: float, *, bold: bool = False, colour: tuple[int, int, int] = INK) -> None:
        self.set_font(FAMILY, "B" if bold else "", size)
        self.set_text_color(*colour)
