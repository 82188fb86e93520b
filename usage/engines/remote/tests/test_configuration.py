import pytest

from usage.engines.remote.configuration import SpeechServer, Unreadable, read_servers


def test_servers_are_read_in_their_order_with_lists_that_have_commas_too():
    assert read_servers(
        " https://sk-1%2F2%40@a.example/v1/?model=kokoro&voices=af_heart,am_michael ,"
        "http://[::1]:8880/v1?model=org%2Ftts-0.1&format=wav&at_once=16&languages=EN-us,es\n,"
        "https://B.example?model=tts-1&voices=x%2Fy%2Cz,p+q%20r,"
    ) == (
        SpeechServer(
            url="https://a.example/v1",
            model="kokoro",
            key="sk-1/2@",
            voices=("af_heart", "am_michael"),
        ),
        SpeechServer(
            url="http://[::1]:8880/v1",
            model="org/tts-0.1",
            languages=("en-us", "es"),
            response_format="wav",
            at_once=16,
        ),
        SpeechServer(url="https://b.example", model="tts-1", voices=("x/y,z", "p+q r")),
    )


def test_a_server_has_a_label_and_a_price_for_its_voices():
    plain, named = read_servers(
        "https://a.example/v1?model=m, https://b.example/v1?model=m&label=GPU%20farm&tier=standard"
    )

    assert (plain.label, plain.tier, plain.group) == ("Speech servers", "premium", "speech_servers")
    assert (named.label, named.tier, named.group) == ("GPU farm", "standard", "gpu_farm")


def test_one_server_may_make_copies_of_voices_under_a_label_of_its_own():
    plain, makes = read_servers(
        "https://a.example/v1?model=m, https://b.example/v1?model=m&label=Studio&clones=yes"
    )

    assert (plain.clones, makes.clones, makes.voices) == ("", "yes", ())


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_no_servers_are_none(text):
    assert read_servers(text) == ()


def test_neither_repr_nor_name_of_a_server_shows_its_key():
    (server,) = read_servers("https://secret@a.example/v1?model=m")

    assert "secret" not in f"{server!r} {server.name} {server.url}"


GOOD = "https://a.example/v1?model=m"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpu-1:8880/v1?model=secret", "server 1 of 1 as an address that begins with http://"),
        ("ftp://secret@a/v1?model=m", "begins with http://"),
        ("https://?model=secret", "begins with http://"),
        ("https://secret@a:port/v1?model=m", "host and port"),
        ("https://secret@a:99999/v1?model=m", "host and port"),
        ("https://[::1/v1?model=secret", "host and port"),
        ("https://secret@a.example/v1", "with the model it is asked for"),
        ("https://secret@a.example/v1?model=", "something after model="),
        ("https://secret@a.example/v1?model=a&model=b", "one model="),
        ("https://a.example/v1?model=m&key=secret", "no other options than model, voices"),
        ("https://a.example/v1?model=m&voices=a,,secret", "between its commas"),
        ("https://a.example/v1?model=m&voices=a b", "without blanks"),
        ("https://a.example/v1?model=m&format=mp3", "format=pcm or format=wav"),
        ("https://a.example/v1?model=m&tier=gold", "tier=premium or tier=standard"),
        ("https://a.example/v1?model=m&label=%2B%2B", "label= of at most 20 characters"),
        (f"https://a.example/v1?model=m&label={'x' * 21}", "label= of at most 20 characters"),
        (
            "https://a/v1?model=m&label=A&tier=standard, https://b/v1?model=m&label=A",
            "servers of one label with the same",
        ),
        (f"{GOOD}&label=A&clones=no", "server 1 of 1 with clones=yes or clones=openai"),
        (f"{GOOD}&clones=yes", "with a label= beside clones="),
        (
            "https://a/v1?model=m&label=A&clones=yes, https://b/v1?model=m&label=B&clones=openai",
            "clones= on one server only",
        ),
        (
            "https://a/v1?model=m&label=A&clones=yes, https://b/v1?model=m&label=A",
            "a label= that no other has",
        ),
        ("https://a.example/v1?model=m&at_once=0", "at_once= from 1 to 100"),
        ("https://a.example/v1?model=m&at_once=9999", "at_once= from 1 to 100"),
        ("https://a.example/v1?model=m&at_once=\u0663", "at_once= from 1 to 100"),
        ("https://a.example/v1?model=m&languages=english!", "languages like en-us"),
        ("https://a.example/v1?model=m#secret", "%2F, %3F, %23 and %40"),
        ("https://sec/ret@a.example/v1?model=m", "%2F, %3F, %23 and %40"),
        ("https://user:secret@a.example/v1?model=m", "a colon in it is %3A"),
        ("https://secr%C3%A9t@a.example/v1?model=m", "ASCII"),
        ("https://sec%0Aret@a.example/v1?model=m", "ASCII"),
        (f"{GOOD}, b.example/v1?model=n", "without blanks"),
        (f"{GOOD},b.example", "one model; a further server begins with"),
        (f"{GOOD}&voices=x,b.example/v1?model=n", "another server with http://"),
        ("https://a.example/v1,b.example/v1?model=n", "each with http:// or https://"),
        (f"{GOOD}, {GOOD}", "each server once"),
        (f"{GOOD}, https://b.example/v1", "server 2 of 2 with the model"),
    ],
)
def test_what_is_written_wrongly_is_refused_with_what_to_write_and_without_its_text(text, words):
    with pytest.raises(Unreadable) as caught:
        read_servers(text)

    assert words in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "ret@" not in str(caught.value)
