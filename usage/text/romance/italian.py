"""Italian."""

from usage.text.romance.grammar import Grammar, Money, Noun, feminine_of, named, nouns, row
from usage.text.rules import listed

_SMALL = row(
    "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici "
    "quindici sedici diciassette diciotto diciannove"
)
_TENS = row("venti trenta quaranta cinquanta sessanta settanta ottanta novanta")
_SIZES = (
    (10**12, "mille miliardi", "mila miliardi"),
    (10**9, "un miliardo", "miliardi"),
    (10**6, "un milione", "milioni"),
)
_FIRST = row("primo secondo terzo quarto quinto sesto settimo ottavo nono decimo")


def cardinal(number: int, feminine: bool = False, noun: bool = False) -> str:
    """Long numbers are written in several words, which are said the same."""
    parts = []
    for size, one, many in _SIZES:
        count, number = divmod(number, size)
        if count:
            parts.append(one if count == 1 else f"{_below_1000(count)} {many}")
    thousands, rest = divmod(number, 1000)
    if thousands:
        parts.append(
            "mille" if thousands == 1 else f"{_below_1000(thousands)}mila".replace("é", "e")
        )
    if rest or not parts:
        said = _below_1000(rest)
        if rest == 1 and not parts and (feminine or noun):
            said = "una" if feminine else "un"
        elif rest == 3 and parts:
            said = "tre"
        parts.append(said)
    return " ".join(parts)


def _below_1000(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    said = []
    if hundreds:
        said.append("cento" if hundreds == 1 else f"{_SMALL[hundreds]}cento")
    if rest < 20:
        if rest or not hundreds:
            said.append(_SMALL[rest])
    else:
        tens, ones = _TENS[rest // 10 - 2], rest % 10
        if ones in (1, 8):
            tens = tens[:-1]  # "ventuno", "ventotto"
        said.append(tens + ("tré" if ones == 3 else _SMALL[ones] if ones else ""))
    return " ".join(said)


def ordinal(number: int, feminine: bool = False) -> str:
    """ "ventunesimo"; a cardinal from 1,000 on."""
    if not 0 < number < 1000:
        return cardinal(number, feminine)
    if number <= 10:
        said = _FIRST[number - 1]
    else:
        said = _below_1000(number).replace("é", "e")
        said = (said if number % 10 in (3, 6) and number % 100 > 20 else said[:-1]) + "esimo"
    return feminine_of(said) if feminine else said


_MASCULINE = listed("problema sistema programma tema clima poema schema dramma diploma dilemma")
_FEMININE = listed(
    "mano notte parte classe chiave voce luce legge rete fase serie base frase moglie madre neve "
    "nave torre estate"
)


def _feminine(word: str) -> bool:
    """Of one: "una notte". Other numbers have no gender."""
    ends = word.endswith(("a", "tà", "tù", "zione", "sione"))
    return (ends and word not in _MASCULINE) or word in _FEMININE


_CENT = Noun("centesimo", "centesimi")
_EURO = Money(Noun("euro", "euro"), _CENT)
_DOLLAR = Money(Noun("dollaro", "dollari"), _CENT)
_POUND = Money(Noun("sterlina", "sterline", True), Noun("penny", "pence"))
_YEN = Money(Noun("yen", "yen"))

GRAMMAR = Grammar(
    cardinal=cardinal,
    ordinal=ordinal,
    comma="virgola",
    point="punto",
    minus="meno",
    plus="più",
    to="a",
    over="su",
    percent="per cento",
    of="di",
    with_cents="e",
    time_and="e",
    full_hour=None,
    feminine_hours=True,
    months=(
        *("gennaio", "febbraio", "marzo", "aprile", "maggio", "giugno", "luglio", "agosto"),
        *("settembre", "ottobre", "novembre", "dicembre"),
    ),
    date="{day} {month} {year}",
    first="primo",
    halves=row("mezzo terzo quarto quinto sesto settimo ottavo nono decimo"),
    squared="al quadrato",
    cubed="al cubo",
    power="alla {}",
    millions=("milione", "milioni", "miliardo", "miliardi"),
    number="numero",
    flag="bandiera",
    symbol="simbolo",
    currencies={
        "€": _EURO,
        "EUR": _EURO,
        "$": _DOLLAR,
        "US$": _DOLLAR,
        "USD": _DOLLAR,
        "£": _POUND,
        "GBP": _POUND,
        "¥": _YEN,
        "JPY": _YEN,
        "R$": Money(Noun("real", "real"), _CENT),
        "CHF": Money(Noun("franco svizzero", "franchi svizzeri"), _CENT),
    },
    units=nouns(
        """
        km/h | chilometro orario | chilometri orari
        m/s | metro al secondo | metri al secondo
        km² | chilometro quadrato | chilometri quadrati
        m² | metro quadrato | metri quadrati
        mq | metro quadrato | metri quadrati
        m³ | metro cubo | metri cubi
        km | chilometro | chilometri
        cm | centimetro | centimetri
        mm | millimetro | millimetri
        kg | chilogrammo | chilogrammi
        mg | milligrammo | milligrammi
        ml | millilitro | millilitri
        ha | ettaro | ettari
        °C | grado Celsius | gradi Celsius
        ºC | grado Celsius | gradi Celsius
        °F | grado Fahrenheit | gradi Fahrenheit
        ° | grado | gradi
        GB | gigabyte | gigabyte
        MB | megabyte | megabyte
        TB | terabyte | terabyte
        kWh | chilowattora | chilowattora
        kW | chilowatt | chilowatt
        GHz | gigahertz | gigahertz
        MHz | megahertz | megahertz
        kHz | chilohertz | chilohertz
        Hz | hertz | hertz
        min | minuto | minuti
        m | metro | metri
        g | grammo | grammi
        l | litro | litri
        L | litro | litri
        h | ora | ore
        W | watt | watt
        V | volt | volt
        """,
        feminine="h",
    ),
    abbreviations={
        "Sig.": "signor",
        "Sig.ra": "signora",
        "Sig.na": "signorina",
        "Sigg.": "signori",
        "Dott.": "dottor",
        "Dott.ssa": "dottoressa",
        "Dr.": "dottor",
        "Prof.": "professor",
        "Prof.ssa": "professoressa",
        "Ing.": "ingegner",
        "Avv.": "avvocato",
        "Arch.": "architetto",
        "Geom.": "geometra",
        "On.": "onorevole",
        "S.": "san",
        "ecc.": "eccetera",
        "etc.": "eccetera",
        "p. es.": "per esempio",
        "p.es.": "per esempio",
        "ad es.": "ad esempio",
        "es.": "esempio",
        "pag.": "pagina",
        "pagg.": "pagine",
        "tel.": "telefono",
        "Tel.": "telefono",
        "V.le": "viale",
        "P.zza": "piazza",
        "P.za": "piazza",
        "C.so": "corso",
        "art.": "articolo",
        "cap.": "capitolo",
        "vol.": "volume",
        "sec.": "secolo",
        "fig.": "figura",
        "cfr.": "confronta",
        "ca.": "circa",
        "max.": "massimo",
        "min.": "minimo",
        "a. C.": "avanti Cristo",
        "a.C.": "avanti Cristo",
        "d. C.": "dopo Cristo",
        "d.C.": "dopo Cristo",
        "S.p.A.": "esse pi a",
        "S.r.l.": "esse erre elle",
        "e/o": "e o",
        "vs.": "contro",
    },
    closing=frozenset(
        {"ecc.", "etc.", "a. C.", "a.C.", "d. C.", "d.C.", "S.p.A.", "S.r.l.", "ca."}
    ),
    counted=listed("capitolo tomo volume titolo atto parte fase pagina"),
    ordered=listed("secolo sec. secoli"),
    regnal_max=999,
    feminine=_feminine,
    names=named(
        "e, per cento, per mille, più, uguale a, minore di, maggiore di, chiocciola, cancelletto, "
        "asterisco, barra, barra inversa, barra verticale, accento circonflesso, tilde, dollari, "
        "euro, sterline, yen, gradi, paragrafo, copyright, marchio registrato, "
        "marchio registrato, più o meno, meno, per, diviso, radice quadrata di, infinito, "
        "circa, diverso da, minore o uguale a, maggiore o uguale a, freccia a destra, "
        "cuore rosso, cuore, stella, stella, segno di spunta, segno di spunta, segno di spunta, "
        "croce",
        "faccina sorridente, faccina sorridente, faccina sorridente, faccina sorridente, "
        "faccina che ride fino alle lacrime, faccina che ride fino alle lacrime, "
        "faccina sorridente, faccina con occhi a cuore, bacio, occhiolino, "
        "faccina con occhiali da sole, faccina triste, faccina che piange, faccina arrabbiata, "
        "faccina spaventata, faccina pensierosa, pollice in su, pollice in giù, applausi, "
        "mani giunte, bicipite, festa, fuoco, scintille, razzo, nota musicale, mappamondo, sole, "
        "pioggia, caffè",
    ),
)
