"""Spanish."""

from usage.text.romance.grammar import Grammar, Money, Noun, feminine_of, named, nouns, row
from usage.text.rules import listed

_SMALL = row(
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
    "dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro "
    "veinticinco veintiséis veintisiete veintiocho veintinueve"
)
_TENS = row("treinta cuarenta cincuenta sesenta setenta ochenta noventa")
_HUNDREDS = row(
    "ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos "
    "novecientos"
)
_FIRST = row("primero segundo tercero cuarto quinto sexto séptimo octavo noveno")
_TENTHS = row(
    "décimo vigésimo trigésimo cuadragésimo quincuagésimo sexagésimo septuagésimo octogésimo "
    "nonagésimo"
)
_MASCULINE = listed(
    "días mapas problemas temas sistemas programas idiomas climas planetas poemas esquemas dramas "
    "diplomas síntomas dilemas lemas emblemas teoremas"
)
_FEMININE = listed(
    "vez veces mano manos noche noches mujer mujeres parte partes clase clases calle calles tarde "
    "tardes flor flores luz luces ley leyes red redes imagen imágenes fase fases llave llaves "
    "nave naves clave claves serie series base bases frase frases torre torres"
)
_FEMININE_ENDS = (
    *("a", "ción", "sión", "dad", "tad", "tud"),
    *("as", "ciones", "siones", "dades", "tades", "tudes"),
)


def cardinal(number: int, feminine: bool = False, noun: bool = False) -> str:
    parts = []
    for size, one, many in ((10**12, "un billón", "billones"), (10**6, "un millón", "millones")):
        count, number = divmod(number, size)
        if count:
            parts.append(one if count == 1 else f"{cardinal(count, False, True)} {many}")
    thousands, rest = divmod(number, 1000)
    if thousands:
        # "veintiún mil", "veintiuna mil personas".
        said = "" if thousands == 1 else _below_1000(thousands, feminine, True)
        parts.append(f"{said} mil".strip())
    if rest or not parts:
        parts.append(_below_1000(rest, feminine, noun))
    return " ".join(parts)


def _below_1000(number: int, feminine: bool, noun: bool) -> str:
    if number == 100:
        return "cien"
    parts = []
    hundreds, rest = divmod(number, 100)
    if hundreds:
        said = _HUNDREDS[hundreds - 1]
        parts.append(said[:-2] + "as" if feminine and hundreds > 1 else said)
    if rest or not hundreds:
        if rest < 30:
            said = _SMALL[rest]
        else:
            said = _TENS[rest // 10 - 3] + (f" y {_SMALL[rest % 10]}" if rest % 10 else "")
        if rest % 10 == 1 and rest != 11:
            said = _one(said, feminine, noun)
        parts.append(said)
    return " ".join(parts)


def _one(said: str, feminine: bool, noun: bool) -> str:
    if feminine:
        return said[:-1] + "a"
    if noun:
        return "veintiún" if said == "veintiuno" else said[:-1]
    return said


def ordinal(number: int, feminine: bool = False) -> str:
    """ "vigésimo primero"; a cardinal from 100 on."""
    if not 0 < number < 100:
        return cardinal(number, feminine)
    tens, ones = divmod(number, 10)
    said = {11: "undécimo", 12: "duodécimo"}.get(number) or " ".join(
        [*([_TENTHS[tens - 1]] if tens else []), *([_FIRST[ones - 1]] if ones else [])]
    )
    return feminine_of(said) if feminine else said


def _feminine(word: str) -> bool:
    if word in _MASCULINE or f"{word}s" in _MASCULINE:
        return False
    return word.endswith(_FEMININE_ENDS) or word in _FEMININE


_CENT = Noun("céntimo", "céntimos")
_CENTAVO = Noun("centavo", "centavos")
_DOLLAR = Money(Noun("dólar", "dólares"), _CENTAVO)
_EURO = Money(Noun("euro", "euros"), _CENT)
_POUND = Money(Noun("libra", "libras", True), Noun("penique", "peniques"))
_YEN = Money(Noun("yen", "yenes"))
_REAL = Money(Noun("real", "reales"), _CENTAVO)

GRAMMAR = Grammar(
    cardinal=cardinal,
    ordinal=ordinal,
    comma="coma",
    point="punto",
    minus="menos",
    plus="más",
    to="a",
    over="sobre",
    percent="por ciento",
    of="de",
    with_cents="con",
    time_and="y",
    full_hour=None,
    feminine_hours=True,
    months=(
        *("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto"),
        *("septiembre", "octubre", "noviembre", "diciembre"),
    ),
    date="{day} de {month} de {year}",
    first="primero",
    halves=row("medio tercio cuarto quinto sexto séptimo octavo noveno décimo"),
    squared="al cuadrado",
    cubed="al cubo",
    power="elevado a {}",
    millions=("millón", "millones", "billón", "billones"),
    number="número",
    flag="bandera",
    symbol="símbolo",
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
        "R$": _REAL,
        "MXN": Money(Noun("peso mexicano", "pesos mexicanos"), _CENTAVO),
        "CHF": Money(Noun("franco suizo", "francos suizos"), _CENT),
    },
    units=nouns(
        """
        km/h | kilómetro por hora | kilómetros por hora
        m/s | metro por segundo | metros por segundo
        km² | kilómetro cuadrado | kilómetros cuadrados
        m² | metro cuadrado | metros cuadrados
        m³ | metro cúbico | metros cúbicos
        km | kilómetro | kilómetros
        cm | centímetro | centímetros
        mm | milímetro | milímetros
        kg | kilogramo | kilogramos
        mg | miligramo | miligramos
        ml | mililitro | mililitros
        ha | hectárea | hectáreas
        °C | grado Celsius | grados Celsius
        ºC | grado Celsius | grados Celsius
        °F | grado Fahrenheit | grados Fahrenheit
        ° | grado | grados
        GB | gigabyte | gigabytes
        MB | megabyte | megabytes
        TB | terabyte | terabytes
        kWh | kilovatio hora | kilovatios hora
        kW | kilovatio | kilovatios
        GHz | gigahercio | gigahercios
        MHz | megahercio | megahercios
        kHz | kilohercio | kilohercios
        Hz | hercio | hercios
        min | minuto | minutos
        m | metro | metros
        g | gramo | gramos
        l | litro | litros
        L | litro | litros
        h | hora | horas
        W | vatio | vatios
        V | voltio | voltios
        """,
        feminine="ha h",
    ),
    abbreviations={
        "Sr.": "señor",
        "Sra.": "señora",
        "Sres.": "señores",
        "Sras.": "señoras",
        "Srta.": "señorita",
        "Dr.": "doctor",
        "Dra.": "doctora",
        "Dres.": "doctores",
        "Dña.": "doña",
        "D.ª": "doña",
        "D.": "don",
        "Ud.": "usted",
        "Uds.": "ustedes",
        "Vd.": "usted",
        "Prof.": "profesor",
        "Profa.": "profesora",
        "Ing.": "ingeniero",
        "Lic.": "licenciado",
        "Sto.": "santo",
        "Sta.": "santa",
        "etc.": "etcétera",
        "p. ej.": "por ejemplo",
        "p.ej.": "por ejemplo",
        "pág.": "página",
        "págs.": "páginas",
        "núm.": "número",
        "tel.": "teléfono",
        "Tel.": "teléfono",
        "Avda.": "avenida",
        "Av.": "avenida",
        "c/": "calle",
        "C/": "calle",
        "art.": "artículo",
        "cap.": "capítulo",
        "vol.": "volumen",
        "aprox.": "aproximadamente",
        "máx.": "máximo",
        "mín.": "mínimo",
        "hab.": "habitantes",
        "EE. UU.": "Estados Unidos",
        "EE.UU.": "Estados Unidos",
        "EEUU": "Estados Unidos",
        "a. C.": "antes de Cristo",
        "a.C.": "antes de Cristo",
        "d. C.": "después de Cristo",
        "d.C.": "después de Cristo",
        "S.A.": "ese a",
        "S. A.": "ese a",
        "S.L.": "ese ele",
        "a. m.": "a eme",
        "a.m.": "a eme",
        "p. m.": "pe eme",
        "p.m.": "pe eme",
        "y/o": "y o",
        "vs.": "contra",
    },
    closing=frozenset(
        {"etc.", "EE. UU.", "EE.UU.", "a. C.", "a.C.", "d. C.", "d.C.", "S.A.", "S. A.", "S.L."}
        | {"a. m.", "a.m.", "p. m.", "p.m.", "hab."}
    ),
    counted=listed("siglo siglos capítulo tomo volumen título acto parte fase página liga"),
    ordered=frozenset(),
    regnal_max=10,
    feminine=_feminine,
    names=named(
        "y, por ciento, por mil, más, igual a, menor que, mayor que, arroba, almohadilla, "
        "asterisco, barra, barra invertida, barra vertical, circunflejo, virgulilla, dólares, "
        "euros, libras, yenes, grados, sección, copyright, marca registrada, marca registrada, "
        "más menos, menos, por, dividido por, raíz cuadrada de, infinito, aproximadamente, "
        "distinto de, menor o igual que, mayor o igual que, flecha a la derecha, corazón rojo, "
        "corazón, estrella, estrella, marca de verificación, marca de verificación, "
        "marca de verificación, cruz",
        "cara sonriente, cara sonriente, cara sonriente, cara sonriente, cara llorando de risa, "
        "cara llorando de risa, cara sonriente, cara con ojos de corazón, beso, guiño, "
        "cara con gafas de sol, cara triste, cara llorando, cara enfadada, cara de miedo, "
        "cara pensativa, pulgar hacia arriba, pulgar hacia abajo, aplausos, manos juntas, "
        "brazo fuerte, fiesta, fuego, destellos, cohete, nota musical, globo terráqueo, sol, "
        "lluvia, café",
    ),
)
