"""Brazilian Portuguese."""

from usage.text.romance.grammar import Grammar, Money, Noun, feminine_of, named, nouns, row
from usage.text.rules import listed

_SMALL = row(
    "zero um dois três quatro cinco seis sete oito nove dez onze doze treze quatorze quinze "
    "dezesseis dezessete dezoito dezenove"
)
_TENS = row("vinte trinta quarenta cinquenta sessenta setenta oitenta noventa")
_HUNDREDS = row(
    "cento duzentos trezentos quatrocentos quinhentos seiscentos setecentos oitocentos novecentos"
)
_SIZES = (
    (10**12, "trilhão", "trilhões"),
    (10**9, "bilhão", "bilhões"),
    (10**6, "milhão", "milhões"),
)
_FIRST = row("primeiro segundo terceiro quarto quinto sexto sétimo oitavo nono")
_TENTHS = row(
    "décimo vigésimo trigésimo quadragésimo quinquagésimo sexagésimo septuagésimo octogésimo "
    "nonagésimo"
)
_MASCULINE = listed(
    "dias mapas problemas temas sistemas programas idiomas climas planetas poemas esquemas dramas "
    "diplomas sintomas dilemas lemas emblemas teoremas"
)
_FEMININE = listed(
    "vez vezes mão mãos mulher mulheres noite noites parte partes classe classes tarde tardes flor "
    "flores luz luzes lei leis rede redes imagem imagens fase fases chave chaves base bases frase "
    "frases torre torres viagem viagens cor cores mãe mães"
)
_FEMININE_ENDS = ("as", "ções", "ssões", "dades", "a", "ção", "ssão", "dade")


def cardinal(number: int, feminine: bool = False, noun: bool = False) -> str:
    groups: list[tuple[int, str]] = []
    for size, one, many in _SIZES:
        count, number = divmod(number, size)
        if count:
            groups.append((1000, f"{_below_1000(count, False)} {one if count == 1 else many}"))
    thousands, rest = divmod(number, 1000)
    if thousands:
        said = "" if thousands == 1 else _below_1000(thousands, feminine)
        groups.append((1000, f"{said} mil".strip()))
    if rest or not groups:
        groups.append((rest, _below_1000(rest, feminine)))
    *most, (last, said) = groups
    # "mil e cem", "mil e um", but "mil duzentos e trinta".
    link = " e " if last <= 100 or (last < 1000 and last % 100 == 0) else " "
    return link.join(filter(None, [" ".join(group for _, group in most), said]))


def _below_1000(number: int, feminine: bool) -> str:
    if number == 100:
        return "cem"
    parts = []
    hundreds, rest = divmod(number, 100)
    if hundreds:
        said = _HUNDREDS[hundreds - 1]
        parts.append(said[:-2] + "as" if feminine and hundreds > 1 else said)
    if rest >= 20:
        parts.append(_TENS[rest // 10 - 2])
        rest %= 10
        if rest:
            parts.append(_unit(rest, feminine))
    elif rest or not hundreds:
        parts.append(_unit(rest, feminine))
    return " e ".join(parts)


def _unit(number: int, feminine: bool) -> str:
    return {1: "uma", 2: "duas"}.get(number, _SMALL[number]) if feminine else _SMALL[number]


def ordinal(number: int, feminine: bool = False) -> str:
    """ "vigésimo primeiro"; a cardinal from 100 on."""
    if not 0 < number < 100:
        return cardinal(number, feminine)
    tens, ones = divmod(number, 10)
    said = " ".join([*([_TENTHS[tens - 1]] if tens else []), *([_FIRST[ones - 1]] if ones else [])])
    return feminine_of(said) if feminine else said


def _feminine(word: str) -> bool:
    if word in _MASCULINE or f"{word}s" in _MASCULINE:
        return False
    return word.endswith(_FEMININE_ENDS) or word in _FEMININE


_CENT = Noun("centavo", "centavos")
_REAL = Money(Noun("real", "reais"), _CENT)
_DOLLAR = Money(Noun("dólar", "dólares"), _CENT)
_EURO = Money(Noun("euro", "euros"), Noun("cêntimo", "cêntimos"))
_POUND = Money(Noun("libra", "libras", True), Noun("pêni", "pence"))
_YEN = Money(Noun("iene", "ienes"))

GRAMMAR = Grammar(
    cardinal=cardinal,
    ordinal=ordinal,
    comma="vírgula",
    point="ponto",
    minus="menos",
    plus="mais",
    to="a",
    over="sobre",
    percent="por cento",
    of="de",
    with_cents="e",
    time_and="e",
    full_hour=Noun("hora", "horas", True),
    feminine_hours=True,
    months=(
        *("janeiro", "fevereiro", "março", "abril", "maio", "junho", "julho", "agosto"),
        *("setembro", "outubro", "novembro", "dezembro"),
    ),
    date="{day} de {month} de {year}",
    first="primeiro",
    halves=row("meio terço quarto quinto sexto sétimo oitavo nono décimo"),
    squared="ao quadrado",
    cubed="ao cubo",
    power="elevado a {}",
    millions=("milhão", "milhões", "bilhão", "bilhões", "trilhão", "trilhões"),
    number="número",
    flag="bandeira",
    symbol="símbolo",
    currencies={
        "R$": _REAL,
        "BRL": _REAL,
        "€": _EURO,
        "EUR": _EURO,
        "$": _DOLLAR,
        "US$": _DOLLAR,
        "USD": _DOLLAR,
        "£": _POUND,
        "GBP": _POUND,
        "¥": _YEN,
        "JPY": _YEN,
        "CHF": Money(Noun("franco suíço", "francos suíços"), _CENT),
    },
    units=nouns(
        """
        km/h | quilômetro por hora | quilômetros por hora
        m/s | metro por segundo | metros por segundo
        km² | quilômetro quadrado | quilômetros quadrados
        m² | metro quadrado | metros quadrados
        m³ | metro cúbico | metros cúbicos
        km | quilômetro | quilômetros
        cm | centímetro | centímetros
        mm | milímetro | milímetros
        kg | quilograma | quilogramas
        mg | miligrama | miligramas
        ml | mililitro | mililitros
        ha | hectare | hectares
        °C | grau Celsius | graus Celsius
        ºC | grau Celsius | graus Celsius
        °F | grau Fahrenheit | graus Fahrenheit
        ° | grau | graus
        GB | gigabyte | gigabytes
        MB | megabyte | megabytes
        TB | terabyte | terabytes
        kWh | quilowatt-hora | quilowatts-hora
        kW | quilowatt | quilowatts
        GHz | giga-hertz | giga-hertz
        MHz | mega-hertz | mega-hertz
        kHz | quilo-hertz | quilo-hertz
        Hz | hertz | hertz
        min | minuto | minutos
        m | metro | metros
        g | grama | gramas
        l | litro | litros
        L | litro | litros
        h | hora | horas
        W | watt | watts
        V | volt | volts
        """,
        feminine="h",
    ),
    abbreviations={
        "Sr.": "senhor",
        "Sra.": "senhora",
        "Srs.": "senhores",
        "Sras.": "senhoras",
        "Srta.": "senhorita",
        "Dr.": "doutor",
        "Dra.": "doutora",
        "D.": "dom/dona",
        "Prof.": "professor",
        "Profa.": "professora",
        "Prof.ª": "professora",
        "Eng.": "engenheiro",
        "Exmo.": "excelentíssimo",
        "Sto.": "santo",
        "Sta.": "santa",
        "etc.": "etcétera",
        "p. ex.": "por exemplo",
        "p.ex.": "por exemplo",
        "pág.": "página",
        "págs.": "páginas",
        "tel.": "telefone",
        "Tel.": "telefone",
        "Av.": "avenida",
        "R.": "rua",
        "art.": "artigo",
        "cap.": "capítulo",
        "vol.": "volume",
        "séc.": "século",
        "apto.": "apartamento",
        "aprox.": "aproximadamente",
        "máx.": "máximo",
        "mín.": "mínimo",
        "hab.": "habitantes",
        "EUA": "Estados Unidos",
        "a. C.": "antes de Cristo",
        "a.C.": "antes de Cristo",
        "d. C.": "depois de Cristo",
        "d.C.": "depois de Cristo",
        "S.A.": "esse á",
        "S/A": "esse á",
        "Ltda.": "limitada",
        "Cia.": "companhia",
        "e/ou": "e ou",
        "vs.": "versus",
    },
    closing=frozenset({"etc.", "a. C.", "a.C.", "d. C.", "d.C.", "S.A.", "Ltda.", "hab."}),
    counted=listed("século séculos capítulo tomo volume título ato parte fase página"),
    ordered=frozenset(),
    regnal_max=10,
    feminine=_feminine,
    names=named(
        "e, por cento, por mil, mais, igual a, menor que, maior que, arroba, cerquilha, "
        "asterisco, barra, barra invertida, barra vertical, circunflexo, til, dólares, "
        "euros, libras, ienes, graus, seção, copyright, marca registrada, marca registrada, "
        "mais ou menos, menos, vezes, dividido por, raiz quadrada de, infinito, "
        "aproximadamente, diferente de, menor ou igual a, maior ou igual a, "
        "seta para a direita, coração vermelho, coração, estrela, estrela, "
        "marca de verificação, marca de verificação, marca de verificação, xis",
        "rosto sorridente, rosto sorridente, rosto sorridente, rosto sorridente, "
        "rosto chorando de rir, rosto chorando de rir, rosto sorridente, "
        "rosto com olhos de coração, beijo, piscadela, rosto com óculos escuros, rosto triste, "
        "rosto chorando, rosto bravo, rosto com medo, rosto pensativo, polegar para cima, "
        "polegar para baixo, aplausos, mãos juntas, braço forte, festa, fogo, brilhos, foguete, "
        "nota musical, globo terrestre, sol, chuva, café",
    ),
)
