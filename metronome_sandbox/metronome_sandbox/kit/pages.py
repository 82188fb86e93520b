"""HTML for the pages of a sandbox: one style, tables, moments."""

from datetime import datetime
from html import escape

STYLE = """
:root{color-scheme:light dark;--line:#8883;--dim:#888;--good:#2a8c4a;--bad:#c33}
body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1.25rem}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.05rem;margin:2rem 0 .5rem}
p{margin:.25rem 0;color:var(--dim)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line)}
th,td{vertical-align:top}
th{font-weight:600;color:var(--dim);font-size:.85rem}td.n,th.n{text-align:right}
code{font:12.5px ui-monospace,monospace;color:var(--dim)}
.good{color:var(--good)}.bad{color:var(--bad)}
time{white-space:nowrap}.scroll{overflow-x:auto}
"""


def when(moment: datetime) -> str:
    return f'<time datetime="{moment.isoformat()}">{moment:%Y-%m-%d %H:%M:%S}</time>'


def html(title: str, body: str, *, style: str = STYLE, refresh_seconds: int | None = None) -> bytes:
    """A whole page. The body and the style are HTML and CSS, the title is text."""
    refresh = f'<meta http-equiv="refresh" content="{refresh_seconds}">' if refresh_seconds else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width">{refresh}'
        f"<title>{escape(title)}</title><style>{style}</style>{body}</html>"
    ).encode()


def table(title: str, heads: list[str], rows: list[list[str]]) -> str:
    """Cells are HTML; a head that ends in # is a number's."""
    if not rows:
        return f"<h2>{title}</h2><p>None yet.</p>"
    kinds = [' class="n"' if head.endswith("#") else "" for head in heads]
    top = "".join(
        f"<th{kind}>{head.rstrip('#')}</th>" for head, kind in zip(heads, kinds, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<h2>{title}</h2><div class="scroll"><table><tr>{top}</tr>{body}</table></div>'
