"""Words to phonemes, and which word each phoneme belongs to.

The phonemes are those of misaki, which both models were trained on; hibari carries its rules,
lexicons and a net for words that no lexicon has.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hibari.g2p import G2P

from usage.text import ipa

# A model sees at most this many at once: its memory grows with their number.
PHONEMES_MAX = 200
# The net for unknown words reads the beginning of a longer word and drops the rest.
UNKNOWN_WORD_LETTERS_MAX = 24

NO_WORD = -1  # the owner of a space or a punctuation mark, whose pause belongs to no word
_CLAUSE_ENDS = frozenset(",;:—.!?…")
# "LATIN SMALL LETTER H WITH STROKE", "LATIN SMALL LETTER DOTLESS I"
_LETTER_NAME = re.compile(r"LATIN (?:SMALL|CAPITAL) LETTER (?:DOTLESS )?([A-Z])\b")
_LONG_WORD = re.compile(rf"[^\W\d_]{{{UNKNOWN_WORD_LETTERS_MAX + 1},}}")


@dataclass(slots=True)
class Part:
    """What a model says in one go."""

    phonemes: str = ""
    owners: list[int] = field(default_factory=list)  # for each phoneme, the index of its word

    def add(self, phonemes: str, owner: int) -> None:
        self.phonemes += phonemes
        self.owners += [owner if sign.isalpha() else NO_WORD for sign in phonemes]


class Speller:
    """American or British readings, in the alphabet of a model."""

    def __init__(self, alphabet: frozenset[str], *, british: bool = False) -> None:
        self.g2p = G2P(british=british)
        self.alphabet, self.british = alphabet, british
        # Loads the net now, while files may still be read.
        self.g2p.oov("vocalis")

    def parts(self, words: Sequence[str], given: Mapping[int, str] | None = None) -> list[Part]:
        """The phonemes of the words, in parts of at most PHONEMES_MAX, cut after a clause or else
        between words where there is such a place. `given` is IPA for some words, by their index.
        """
        return _audible(self._read(words, given or {}))

    def _spelt(self, word: str) -> str:
        """With other letters for those that lexicons and net do not know: they would be silent."""
        if word.isascii():
            return word
        known = self.g2p.oov.cin
        return "".join(
            letter if letter in known or not letter.isalpha() else _plain(letter) for letter in word
        )

    def _read(self, words: Sequence[str], given: Mapping[int, str]) -> Part:
        spoken = [_LONG_WORD.sub(_cut_word, self._spelt(word)) for word in words]
        text = " ".join(spoken)
        ends: list[int] = []
        for word in spoken:
            ends.append((ends[-1] + 1 if ends else 0) + len(word))
        whole = Part()
        said: set[int] = set()  # of the given ones
        at = index = 0
        for token in self.g2p.phonemize_tokens(self.g2p.tokenize(text)):
            # A token may be written a little differently from the text: then it is where the last
            # one ended.
            found = text.find(token.text, at)
            at = (found if found >= 0 else at) + len(token.text)
            while index < len(ends) - 1 and ends[index] < at:
                index += 1
            phonemes = token.phonemes or ""
            if index in given and any(map(str.isalpha, phonemes)):
                # The word is read all the same, for what its neighbours make of it.
                is_first = index not in said
                phonemes = ipa.phonemes(given[index], british=self.british) if is_first else ""
                said.add(index)
            phonemes = "".join(sign for sign in phonemes if sign in self.alphabet)
            whole.add(phonemes, index)
            if token.whitespace and whole.phonemes[-1:] not in ("", " "):
                whole.add(" ", NO_WORD)
        return whole


class Given:
    """Phonemes known already, one string a word with the sign after it; in place of a Speller."""

    def __init__(self, alphabet: frozenset[str], phonemes: Sequence[str]) -> None:
        self.alphabet = alphabet
        self.phonemes = phonemes

    def parts(self, words: Sequence[str], given: Mapping[int, str] | None = None) -> list[Part]:
        """As those of a Speller. `given` is English, and of no use here."""
        whole = Part()
        for index, phonemes in enumerate(self.phonemes):
            if known := "".join(sign for sign in phonemes if sign in self.alphabet):
                whole.add(f"{known} ", index)
        return _audible(whole)


def _audible(whole: Part) -> list[Part]:
    return [part for part in _cut(whole) if any(map(str.isalpha, part.phonemes))]


def _plain(letter: str) -> str:
    """What it is made of: "e" of "ễ", "ss" of "ẞ", "h" of "ħ"; itself if that is nothing."""
    codes = [code for code in unicodedata.decomposition(letter).split() if code[0] != "<"]
    if codes:
        signs = [chr(int(code, 16)) for code in codes]
        return "".join(_plain(sign) for sign in signs if not unicodedata.combining(sign))
    if (folded := letter.casefold()).isascii():
        return folded if len(folded) > 1 else letter
    named = _LETTER_NAME.match(unicodedata.name(letter, ""))
    return (named[1] if letter.isupper() else named[1].lower()) if named else letter


def _cut_word(match: re.Match[str]) -> str:
    """A long word in parts of equal size, with blanks between them."""
    letters = match[0]
    count = -(-len(letters) // UNKNOWN_WORD_LETTERS_MAX)
    size = -(-len(letters) // count)
    return " ".join(letters[at : at + size] for at in range(0, len(letters), size))


def _cut(whole: Part) -> Iterator[Part]:
    begin, end = 0, len(whole.phonemes)
    while end - begin > PHONEMES_MAX:
        at = _best_cut(whole.phonemes, begin)
        yield _strip(whole, begin, at)
        begin = at
    if end > begin:
        yield _strip(whole, begin, end)


def _best_cut(phonemes: str, begin: int) -> int:
    """Where the part that begins there ends: after the last clause or else word in its second
    half, or anywhere.
    """
    spaces = [
        at for at in range(begin + PHONEMES_MAX // 2, begin + PHONEMES_MAX) if phonemes[at] == " "
    ]
    clauses = [at for at in spaces if phonemes[at - 1] in _CLAUSE_ENDS]
    return (clauses or spaces or [begin + PHONEMES_MAX - 1])[-1] + 1


def _strip(whole: Part, begin: int, end: int) -> Part:
    while begin < end and whole.phonemes[begin] == " ":
        begin += 1
    while begin < end and whole.phonemes[end - 1] == " ":
        end -= 1
    return Part(whole.phonemes[begin:end], whole.owners[begin:end])
