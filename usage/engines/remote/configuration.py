"""The speech servers as an operator writes them in SPEECH_SERVERS.

    https://KEY@gpu-1.example/v1?model=kokoro&voices=af_heart,am_michael, http://gpu-2:8880/v1?…

A server is its address up to and with `/v1`; its key, if it wants one, stands before the `@`. What
is special in a key, a model or a voice is written as in any URL: %2F for a slash, %2C for a comma.

One server may have `clones=yes`: it makes copies of voices (`clones`). A copy is there and nowhere
else, and its label tells customers who gets their recording, so no other server has that label.
`clones=openai` is the same by the rules of OpenAI's own service.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

FORMATS = ("pcm", "wav")
LANGUAGES = ("en-us", "en-gb")
AT_ONCE, AT_ONCE_MAX = 4, 100
TIERS = ("premium", "standard")
CLONES = ("yes", OPENAI := "openai")
COPY = "vocalis-copy-"  # begins the name that a copy of somebody's voice has at its server
LABEL, LABEL_CHARACTERS_MAX = "Speech servers", 20
EXAMPLE = "https://KEY@speech.example/v1?model=kokoro"

_NEXT = re.compile(r",\s*(?=https?://)", re.IGNORECASE)
_NAMES = ("model", "voices", "languages", "format", "at_once", "label", "tier", "clones")
_LISTS = {"voices", "languages"}
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8})*")


class Unreadable(ValueError):
    """SPEECH_SERVERS is written wrongly. The message says what to write, and shows no value: any
    part of a mistyped address may be the key.
    """


@dataclass(frozen=True, slots=True)
class SpeechServer:
    """One server of the OpenAI contract. Its `repr` does not show the key."""

    url: str  # "https://speech.example/v1", without the key
    model: str
    key: str = field(default="", repr=False)
    voices: tuple[str, ...] = ()  # none: as the server lists them
    languages: tuple[str, ...] = LANGUAGES
    response_format: str = "pcm"
    at_once: int = AT_ONCE  # pieces it is asked for at the same time
    label: str = LABEL  # of its voices, for customers; servers of one label share pieces
    tier: str = TIERS[0]  # the price of its voices
    clones: str = ""  # of CLONES: it makes copies of voices; only `voices` of it are offered

    @property
    def group(self) -> str:
        """The label in the ids of voices: "gpu_farm" for "GPU farm"."""
        return _group(self.label)

    @property
    def name(self) -> str:
        """For logs and operators: the address without the scheme."""
        return self.url.partition("://")[2]


def read_servers(text: str) -> tuple[SpeechServer, ...]:
    """The servers in their order; none for a blank text. Raises Unreadable."""
    if not text.strip():
        return ()
    written = _NEXT.split(text.strip().rstrip(",").strip())
    servers = tuple(
        _server(each.strip(), f"server {number} of {len(written)}")
        for number, each in enumerate(written, 1)
    )
    if len({(server.url, server.model) for server in servers}) < len(servers):
        raise Unreadable(
            "each server once: the same address with the same model stands there twice"
        )
    prices = {(server.group, server.label, server.tier) for server in servers}
    if len({group for group, _, _ in prices}) < len(prices):
        raise Unreadable("servers of one label with the same label= and tier= each")
    _check_clones(servers)
    return servers


def _check_clones(servers: tuple[SpeechServer, ...]) -> None:
    """Raises Unreadable unless at most one clones, under a label that no other has."""
    cloning = [server for server in servers if server.clones]
    if len(cloning) > 1:
        raise Unreadable("clones= on one server only: copies of voices are made at one place")
    groups = [server.group for server in servers]
    if any(groups.count(server.group) > 1 for server in cloning):
        raise Unreadable(
            "the server with clones= with a label= that no other has: copies of voices are "
            "there only, and the label tells customers who gets their recording"
        )


def _group(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


def _server(text: str, which: str) -> SpeechServer:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise Unreadable(f"{which} with a host and port that can be read: {EXAMPLE}") from None
    if wrong := next(_mistakes(text, parts), ""):
        raise Unreadable(f"{which} {wrong}")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    options = _options(parts.query, which)
    return SpeechServer(
        url=f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}",
        model=_only(options, "model", which),
        key=_key(parts, which),
        voices=tuple(options.get("voices", ())),
        languages=_languages(options, which),
        response_format=_format(options, which),
        at_once=_at_once(options, which),
        label=_label(options, which),
        tier=_tier(options, which),
        clones=_clones(options, which),
    )


def _mistakes(text: str, parts: SplitResult) -> Iterator[str]:
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield f"as an address that begins with http:// or https://: {EXAMPLE}"
    if re.search(r"\s", text):
        yield "without blanks inside it (%20 in the name of a voice)"
    if parts.fragment or "#" in text or "@" in parts.path + parts.query:
        yield "with %2F, %3F, %23 and %40 for / ? # @ in its key, model or voices"
    if "," in parts.path:
        yield "and the next one each with http:// or https:// in front"
    if parts.password is not None:
        yield "with its key alone before the @; a colon in it is %3A"


def _key(parts: SplitResult, which: str) -> str:
    key = unquote(parts.username or "")
    if not key.isascii() or (key and not key.isprintable()) or " " in key:
        raise Unreadable(f"{which} with a key of ASCII characters without blanks")
    return key


def _options(query: str, which: str) -> dict[str, list[str]]:
    options: dict[str, list[str]] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        if name not in _NAMES:
            raise Unreadable(f"{which} with no other options than {', '.join(_NAMES)}")
        if name in options:
            raise Unreadable(f"{which} with one {name}=")
        if name in _LISTS and re.search(r"[/?]", value):
            raise Unreadable(
                f"{which} with %2F and %3F for / and ? in its {name}, and what is another server "
                "with http:// or https:// in front"
            )
        values = value.split(",") if name in _LISTS else [value]
        options[name] = [unquote(each).strip() for each in values]
        if not all(each and each.isprintable() for each in options[name]):
            raise Unreadable(f"{which} with something after {name}= and between its commas")
    return options


def _only(options: dict[str, list[str]], name: str, which: str) -> str:
    if name not in options:
        raise Unreadable(f"{which} with the {name} it is asked for: {EXAMPLE}")
    if "," in options[name][0]:
        raise Unreadable(f"{which} with one {name}; a further server begins with https://")
    return options[name][0]


def _languages(options: dict[str, list[str]], which: str) -> tuple[str, ...]:
    languages = tuple(each.lower() for each in options.get("languages", LANGUAGES))
    if not all(map(_LANGUAGE.fullmatch, languages)):
        raise Unreadable(f"{which} with languages like en-us,es,pt-br")
    return languages


def _format(options: dict[str, list[str]], which: str) -> str:
    response_format = options.get("format", ["pcm"])[0]
    if response_format not in FORMATS:
        raise Unreadable(f"{which} with format=pcm or format=wav")
    return response_format


def _label(options: dict[str, list[str]], which: str) -> str:
    label = options.get("label", [LABEL])[0]
    if len(label) > LABEL_CHARACTERS_MAX or not _group(label):
        raise Unreadable(
            f"{which} with a label= of at most {LABEL_CHARACTERS_MAX} characters with letters"
        )
    return label


def _tier(options: dict[str, list[str]], which: str) -> str:
    tier = options.get("tier", [TIERS[0]])[0]
    if tier not in TIERS:
        raise Unreadable(f"{which} with tier=premium or tier=standard")
    return tier


def _clones(options: dict[str, list[str]], which: str) -> str:
    if "clones" not in options:
        return ""
    if (clones := options["clones"][0]) not in CLONES:
        raise Unreadable(f"{which} with clones=yes or clones=openai, or without clones=")
    if "label" not in options:
        raise Unreadable(
            f"{which} with a label= beside clones=, which tells customers who gets their recording"
        )
    return clones


def _at_once(options: dict[str, list[str]], which: str) -> int:
    number = options.get("at_once", [str(AT_ONCE)])[0]
    if not re.fullmatch("[0-9]{1,3}", number) or not 1 <= int(number) <= AT_ONCE_MAX:
        raise Unreadable(f"{which} with at_once= from 1 to {AT_ONCE_MAX}")
    return int(number)
