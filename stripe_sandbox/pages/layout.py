"""What the hosted pages look like."""

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from metronome_sandbox.kit.http import Answer
from metronome_sandbox.kit.pages import html
from stripe_sandbox.hosting import Typed
from stripe_sandbox.wire import Request
from stripe_sandbox.world import World

if TYPE_CHECKING:
    from stripe_sandbox.app import Sandbox

STYLE = """
:root{color-scheme:light dark;--ink:#1a1f36;--dim:#697386;--line:#d8dee4;--back:#f6f8fa;
--card:#fff;--blue:#0570de;--bad:#c0123c}
@media(prefers-color-scheme:dark){:root{--ink:#ebeef1;--dim:#a3acba;--line:#3b4252;--back:#14171f;
--card:#1d212b;--blue:#3f9cf6;--bad:#ff6f8b}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
.band{background:#ffb020;color:#241a00;text-align:center;padding:.4rem 1rem;font-weight:600;
font-size:.875rem}
main{max-width:60rem;margin:0 auto;padding:2rem 1.25rem;display:grid;gap:2rem;
grid-template-columns:1fr 1.2fr;align-items:start}
main.single{grid-template-columns:minmax(0,34rem);justify-content:center}
@media(max-width:48rem){main{grid-template-columns:minmax(0,1fr);padding:1.25rem 1rem;gap:1.25rem}}
section{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.5rem}
section.plain{background:none;border:0;padding:.5rem 0}
h1{font-size:1.25rem;margin:0 0 .75rem}h2{font-size:1rem;margin:1.5rem 0 .5rem}
p{margin:.5rem 0}.dim{color:var(--dim);font-size:.875rem}.total{font-size:2.25rem;font-weight:650}
label{display:block;font-size:.875rem;font-weight:550;margin:.9rem 0 .25rem}
label.check{display:flex;gap:.5rem;align-items:flex-start;font-weight:400}
input:not([type=checkbox]){width:100%;padding:.65rem .75rem;border:1px solid var(--line);
border-radius:.45rem;background:var(--card);color:var(--ink);font:inherit}
input:focus-visible,button:focus-visible,a:focus-visible{outline:3px solid var(--blue);
outline-offset:1px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:.75rem}
button{width:100%;margin-top:1.25rem;padding:.75rem 1rem;border:0;border-radius:.45rem;
background:var(--blue);color:#fff;font:inherit;font-weight:600;cursor:pointer}
button.quiet{background:none;color:var(--ink);border:1px solid var(--line)}
button.small{width:auto;margin:0;padding:.3rem .7rem;font-size:.875rem}
.problem{color:var(--bad);font-size:.875rem;margin:.25rem 0 0}
.alert{border:1px solid var(--bad);color:var(--bad);border-radius:.45rem;padding:.65rem .75rem;
margin:0 0 1rem}
a{color:var(--blue)}ul.rows{list-style:none;margin:0;padding:0}
ul.rows li{display:flex;flex-wrap:wrap;gap:.5rem .75rem;align-items:center;padding:.7rem 0;
border-bottom:1px solid var(--line)}
ul.rows .grow{flex:1 1 12rem}ul.rows form{margin:0}
details{margin-top:1rem}summary{cursor:pointer}
table{border-collapse:collapse;width:100%;font-size:.875rem}td{padding:.2rem .5rem .2rem 0}
"""


@dataclass
class Page:
    """A visit of a page; `fields` is None unless a form was sent."""

    sandbox: "Sandbox"
    request: Request
    names: dict[str, str]
    fields: dict[str, str] | None

    @property
    def world(self) -> World:
        return self.sandbox.world


def show(title: str, body: str, *, status: int = 200, is_single: bool = False) -> Answer:
    kind = ' class="single"' if is_single else ""
    band = '<div class="band">Sandbox: nothing here is real, and no card is charged.</div>'
    whole = f"<body>{band}<main{kind}>{body}</main></body>"
    return Answer(html(title, whole, style=STYLE), "text/html; charset=utf-8", status)


def message(title: str, text: str, *, status: int = 200, link: str = "", label: str = "") -> Answer:
    more = f'<p><a href="{escape(link)}">{escape(label)}</a></p>' if link else ""
    body = f"<section><h1>{escape(title)}</h1><p>{escape(text)}</p>{more}</section>"
    return show(title, body, status=status, is_single=True)


def redirect(url: str) -> Answer:
    return Answer(b"", "text/plain", 303, [("Location", url)])


def alert(text: str) -> str:
    return f'<p class="alert" role="alert">{escape(text)}</p>' if text else ""


def input_(typed: Typed, name: str, label: str, more: str = "") -> str:
    problem = typed.problems.get(name, "")
    told = f' aria-invalid="true" aria-describedby="{name}-problem"' if problem else ""
    below = f'<p class="problem" id="{name}-problem">{escape(problem)}</p>' if problem else ""
    return (
        f'<label for="{name}">{escape(label)}</label>'
        f'<input id="{name}" name="{name}" value="{escape(typed[name])}"{told} {more}>{below}'
    )


def card_fields(typed: Typed) -> str:
    """The number is not shown again, as on any payment page."""
    shown = Typed({**typed.fields, "number": "", "cvc": ""}, typed.problems)
    numeric = 'inputmode="numeric" '
    return (
        input_(
            shown,
            "number",
            "Card number",
            numeric + 'autocomplete="cc-number" placeholder="4242 4242 4242 4242"',
        )
        + '<div class="pair"><div>'
        + input_(shown, "expiry", "Expiry", numeric + 'autocomplete="cc-exp" placeholder="MM / YY"')
        + "</div><div>"
        + input_(shown, "cvc", "CVC", numeric + 'autocomplete="cc-csc" placeholder="CVC"')
        + "</div></div>"
        + input_(shown, "name", "Name on card", 'autocomplete="cc-name"')
    )


def address_fields(typed: Typed) -> str:
    return (
        "<h2>Billing address</h2>"
        + input_(typed, "line1", "Address", 'autocomplete="address-line1"')
        + '<div class="pair"><div>'
        + input_(typed, "postal_code", "Postal code", 'autocomplete="postal-code"')
        + "</div><div>"
        + input_(typed, "city", "City", 'autocomplete="address-level2"')
        + '</div></div><div class="pair"><div>'
        + input_(typed, "state", "State (US)", 'autocomplete="address-level1"')
        + "</div><div>"
        + input_(typed, "country", "Country", 'autocomplete="country" placeholder="US"')
        + "</div></div>"
    )


TEST_NUMBERS = (
    ("4242 4242 4242 4242", "pays"),
    ("4000 0000 0000 0341", "is saved, every later charge is declined"),
    ("4000 0025 0000 3155", "wants confirmation, once when it is saved"),
    ("4000 0027 6000 3184", "wants confirmation at every charge"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "has insufficient funds"),
    ("4000 0000 0000 0069", "has expired"),
    ("4000 0000 0000 0259", "pays, and is disputed"),
)


def test_numbers() -> str:
    rows = "".join(
        f"<tr><td><code>{number}</code></td><td>{does}</td></tr>" for number, does in TEST_NUMBERS
    )
    return (
        '<details class="dim"><summary>Test cards</summary>'
        f"<p>Any expiry to come and any CVC.</p><table>{rows}</table></details>"
    )
