"""The rules that keep the rooms apart, read from the source itself.
A violation is listed as `path imports name`."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings

from . import processes

ROOT = Path(settings.BASE_DIR)
# Imports only go to the left.
LAYERS = [
    "jobs",
    "operations",
    "mails",
    "accounts",
    "notifications",
    "billing",
    "usage",
    "api",
    "vocalis",
]
SANDBOXES = ["metronome_sandbox", "stripe_sandbox"]
KIT = "metronome_sandbox.kit"  # what both sandboxes are made of
PACKAGES = [*LAYERS, *SANDBOXES]
# The rooms of billing: one imports only from floors before its own, and nothing from its
# neighbours.
FLOORS = [
    {"models", "plans", "hours"},
    {"ledger", "metronome"},
    {"events"},
    {"live", "keys", "papers"},
    {"payments"},
    {"sync"},
    {"recharge", "packs"},
    {"subscriptions"},
    {"refunds", "disputes"},
    {"inbox"},
    {"jobs"},
    {"repair"},
    {"pages", "admin"},
    {"urls", "management", "apps"},
]
MODULE_LINES_MAX, FUNCTION_LINES_MAX = 350, 60
PAYMENT_SDKS = {"stripe", "braintree", "adyen", "paypalrestsdk", "square"}
# Which files of usage/engines/ may import a library of speech, by the begin of their path. Encoders
# have a helper process of their own.
SPEECH_LIBRARIES = {
    "espeakng_loader": ("espeak/",),
    "espeakng": ("espeak/",),
    "pyttsx3": (),
    "hibari": ("hibari/model.py", "neural/"),
    "onnxruntime": ("neural/session.py",),
    "numpy": ("hibari/model.py", "kokoro/model.py", "espeak/model.py", "neural/"),
    "ctypes": ("espeak/model.py", "helper.py", "rights.py"),
}
# What others may import of usage.engines beside the names it defines itself. The servers of
# "remote" are settings, and its voices are known to those servers only.
HOUSE_OF_SPEECH = {"whole", "remote"}
# They run in a helper process of `usage.voiceprint`, or once, to make its data.
DESCRIBES_VOICES = {
    f"usage/voiceprint/{name}.py" for name in ("convert", "encoder", "helper", "references")
}
SIGNALS = {
    "django.dispatch",
    "django.db.models.signals",
    "django.core.signals",
    "django.contrib.auth.signals",
}


@cache
def modules() -> list[tuple[str, ast.Module]]:
    """Path and syntax tree of every module of the product: no tests, no migrations."""
    return list(_parsed())


def _parsed() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            # Nobody imports examples: a reader copies them.
            if not {"tests", "migrations", "examples"} & set(path.relative_to(ROOT).parts):
                yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text())


def imports(path: str, tree: ast.Module) -> set[str]:
    """Dotted names of everything imported anywhere in the module, inside functions too."""
    package = path.split("/")[:-1]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def chain(node: ast.expr) -> Iterator[str]:
    """The names in `Wallet.objects.filter(...).update`, without what is in the brackets."""
    while True:
        match node:
            case ast.Attribute(value=node, attr=name):
                yield name
            case ast.Call(func=node) | ast.Subscript(value=node):
                pass
            case ast.Name(id=name):
                yield name
                return
            case _:
                return


def violations(forbidden) -> list[str]:
    return [
        f"{path} imports {name}"
        for path, tree in modules()
        for name in sorted(imports(path, tree))
        if forbidden(path, name)
    ]


def top(name: str) -> str:
    return name.partition(".")[0]


def test_imports_only_go_down():
    def upward(path: str, name: str) -> bool:
        here, there = path.split("/")[0], top(name)
        return here in LAYERS and there in LAYERS and LAYERS.index(there) > LAYERS.index(here)

    assert violations(upward) == []


def test_commands_and_the_admin_alone_make_outcomes():
    """What a command prints is its own affair:
    the rooms below raise exceptions of their own and return values."""

    def strays(path: str, name: str) -> bool:
        allowed = path.startswith("operations/") or "/management/" in path or "/admin" in path
        return top(name) == "operations" and not allowed

    assert violations(strays) == []


def floor(name: str) -> tuple[int, str] | None:
    """Floor and room of a dotted name, None outside the rooms of billing."""
    app, _, rest = name.partition(".")
    room = top(rest)
    return (
        next(((n, room) for n, rooms in enumerate(FLOORS) if room in rooms), None)
        if app == "billing"
        else None
    )


def test_every_room_of_billing_is_on_a_floor():
    here = {
        path.stem
        for path in (ROOT / "billing").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert set.union(*FLOORS) == here - {"__init__", "tests", "migrations"}


def test_imports_inside_billing_only_go_down():
    def upward(path: str, name: str) -> bool:
        here, there = floor(path.removesuffix(".py").replace("/", ".")), floor(name)
        return (
            here is not None and there is not None and here[1] != there[1] and here[0] <= there[0]
        )

    assert violations(upward) == []


def test_the_sandboxes_know_nothing_of_the_product_nor_the_product_of_them():
    """Nor does one sandbox know another. The kit they share knows none of them."""

    def crosses(path: str, name: str) -> bool:
        here, there = path.split("/")[0], top(name)
        is_kit = name == KIT or name.startswith(f"{KIT}.")
        if path.startswith("metronome_sandbox/metronome_sandbox/kit/"):
            return there in PACKAGES and not is_kit
        if here in SANDBOXES:
            return there in {*PACKAGES, "django"} - {here} and not is_kit
        return there in SANDBOXES

    assert violations(crosses) == []


def test_the_sandbox_of_metronome_names_nobody():
    """Other teams install it: what is ours comes by flags, from the Procfile and from our tests."""
    files = [
        path.relative_to(ROOT)
        for path in sorted((ROOT / "metronome_sandbox").rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]
    named = [
        path.as_posix()
        for path in files
        if not any(part.startswith(".") for part in path.parts)  # what tools have left there
        and b"vocalis" in (ROOT / path).read_bytes().lower()
    ]

    assert len(files) > 80
    assert named == []


def test_one_package_speaks_with_the_metronome_sdk():
    assert (
        violations(
            lambda path, name: (
                top(name) == "metronome" and not path.startswith("billing/metronome/")
            )
        )
        == []
    )


def test_payment_sdks_stay_with_their_gateway_and_speech_libraries_in_engines():
    def strays(path: str, name: str) -> bool:
        rooms = f"billing/payments/gateways/{top(name)}/", f"{top(name)}_sandbox/"
        return (top(name) in PAYMENT_SDKS and not path.startswith(rooms)) or (
            top(name) in SPEECH_LIBRARIES
            and not path.startswith(
                tuple(f"usage/engines/{place}" for place in SPEECH_LIBRARIES[top(name)])
            )
            and not (
                top(name) == "numpy"
                and (path == "usage/audio/converter.py" or path in DESCRIBES_VOICES)
            )
        )

    assert violations(strays) == []


def test_only_what_runs_in_helpers_imports_what_runs_in_helpers():
    """The `model` of an engine, and what models share: they need numpy and onnxruntime."""

    def heavy(name: str) -> bool:
        parts = name.split(".")
        return name.startswith("usage.engines.") and (
            "model" in parts[3:] or (parts[2] == "neural" and parts[3:] != ["SAMPLE_RATE"])
        )

    def strays(path: str, name: str) -> bool:
        helper = path.startswith("usage/engines/neural/") or path.endswith("/model.py")
        return heavy(name) and not (path.startswith("usage/engines/") and helper)

    assert violations(strays) == []
    of_voices = {path.removesuffix(".py").replace("/", ".") for path in DESCRIBES_VOICES}
    assert (
        violations(
            lambda path, name: path not in DESCRIBES_VOICES and name.startswith(tuple(of_voices))
        )
        == []
    )


def test_engines_are_made_without_numpy_and_onnxruntime():
    """They cost the web process a hundred megabytes and a second."""
    program = (
        "import sys\n"
        "from usage import engines\n"
        "for name in engines.FACTORIES:\n"
        "    engine = engines.engine(name)\n"
        "    engine.tuning, engine.languages, engine.scripts, engine.status()\n"
        "    engines.missing(name)\n"
        "print({'numpy', 'onnxruntime', 'hibari'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "set()\n"


def test_pages_are_served_without_numpy():
    """What makes PDFs and sound brings it: thirty megabytes, and half a second of each start."""
    program = (
        "import sys\n"
        "import vocalis.asgi, vocalis.urls\n"
        "print({'numpy', 'onnxruntime', 'fpdf', 'av'} & set(sys.modules))\n"
    )
    env = processes.settings_env(database_url="sqlite://:memory:", metronome_url=processes.NOBODY)
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "set()\n"


def test_one_module_opens_stored_audio_and_so_knows_what_to_say_of_a_lost_file():
    """Deleting a customer deletes the files, too, and has to hear of it if that fails."""
    allowed = {"usage/speech/audio.py", "vocalis/operations/deletion.py"}

    assert (
        violations(
            lambda path, name: name.startswith("django.core.files.storage") and path not in allowed
        )
        == []
    )


def test_no_page_knows_a_speech_engine():
    def engine(path: str, name: str) -> bool:
        return path.startswith("usage/pages/") and name.startswith("usage.engines")

    assert violations(engine) == []
    rooms = {path.stem for path in (ROOT / "usage/engines").iterdir()}
    assert {"espeak", "pool", "whole"} < rooms
    assert (
        violations(
            lambda path, name: (
                name.startswith("usage.engines.")
                and not path.startswith("usage/engines/")
                and path not in DESCRIBES_VOICES  # the rights of helpers, and Kokoro's styles
                and name.split(".")[2] in rooms - HOUSE_OF_SPEECH
            )
        )
        == []
    )


def test_payments_are_about_money_only():
    """And the receipts of it. Not about Metronome, mails or what was bought;
    who waits for a payment is told by way of the rows."""
    allowed = (
        "accounts.",
        "billing.models",
        "billing.papers",
        "billing.payments",
        "jobs.",
        "notifications.",
        "operations.",
    )

    def strays(path: str, name: str) -> bool:
        ours = top(name) in LAYERS and path.startswith("billing/payments/")
        return ours and not name.startswith(allowed)

    assert violations(strays) == []


def test_no_business_flow_hides_in_django_signals():
    assert (
        violations(lambda path, name: name.rpartition(".")[0] in SIGNALS or name in SIGNALS) == []
    )


def test_the_ledger_alone_writes_wallets_reservations_entries_and_grants():
    rows = {
        "Wallet",
        "Reservation",
        "LedgerEntry",
        "CreditGrant",
        "wallet",
        "reservation",
        "entries",
        "grants",
    }
    writes = {
        "create",
        "get_or_create",
        "update_or_create",
        "bulk_create",
        "bulk_update",
        "update",
        "save",
        "delete",
    }
    tables = re.compile(
        r"\b(UPDATE|INSERT INTO|DELETE FROM)\s+billing_(wallet|reservation|ledgerentry|creditgrant)"
    )
    found = []
    for path, tree in modules():
        if path.startswith(("billing/ledger/", *(f"{name}/" for name in SANDBOXES))):
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in writes
            ):
                if rows & set(chain(node.func.value)):
                    found.append(f"{path}:{node.lineno} {ast.unparse(node.func)}()")
            elif (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and tables.search(node.value)
            ):
                found.append(f"{path}:{node.lineno} writes in SQL")

    assert found == []


JOB_COLUMNS = {"due_at", "dead_at", "attempts", "last_error", "lease", "leased_until"}
READERS = {"filter", "exclude", "get", "Q", "aggregate", "complete"}  # complete: of jobs.queue


def job_columns_written(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each column of a job that is set:
    by keyword, in a dict, as an attribute or in SQL."""
    in_sql = re.compile(
        rf"\b(?:SET|INSERT INTO)\b.*?\b({'|'.join(sorted(JOB_COLUMNS))})\b", re.DOTALL
    )
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if (
                called not in READERS
            ):
                names = [keyword.arg for keyword in node.keywords]
            case ast.Dict():
                names = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            case ast.Subscript(slice=ast.Constant(value=name), ctx=ast.Store()):
                names = [name]
            case ast.Attribute(attr=name, ctx=ast.Store()):
                names = [name]
            case ast.Constant(value=str(text)):
                names = in_sql.findall(text)
            case _:
                continue
        yield from ((node.lineno, name) for name in names if name in JOB_COLUMNS)


def test_jobs_alone_writes_the_columns_of_jobs():
    """Others say run_now, schedule, schedule_by or cancel, and `**due(now)` for a new row."""
    allowed = ("jobs/", *(f"{name}/" for name in SANDBOXES))
    found = [
        f"{path}:{line} writes {name}"
        for path, tree in modules()
        for line, name in job_columns_written(tree)
        if not path.startswith(allowed)
    ]

    assert found == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("rows.update(state=1, due_at=now)", ["due_at"]),
        ("Row.objects.create(dead_at=None)", ["dead_at"]),
        ("rows.get_or_create(key=1, defaults={'attempts': 0})", ["attempts"]),
        ("fields['last_error'] = ''", ["last_error"]),
        ("row.lease = None", ["lease"]),
        ("execute('UPDATE t SET a = 1, leased_until = NULL')", ["leased_until"]),
        ("rows.filter(due_at=None).exclude(dead_at=None)", []),
        ("x = row.due_at", []),
        ("execute('SELECT due_at FROM t')", []),
    ],
)
def test_a_write_of_a_jobs_column_is_seen_however_it_is_written(source, expected):
    assert [name for _, name in job_columns_written(ast.parse(source))] == expected


def test_one_function_normalises_and_it_looks_at_the_length_first():
    found = [
        f"{path} in {function.name}"
        for path, tree in modules()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in {"unicodedata.normalize", "unicodedata.is_normalized"}
    ]
    assert found == ["accounts/typed.py in normalise"]
    assert violations(lambda path, name: name.startswith("unicodedata.")) == [], (
        "nor is it imported under another name"
    )

    source = ast.parse((ROOT / "accounts/typed.py").read_text())
    [normalise] = [
        node
        for node in source.body
        if isinstance(node, ast.FunctionDef) and node.name == "normalise"
    ]
    docstring, first, *_ = normalise.body
    assert isinstance(docstring, ast.Expr) and isinstance(first, ast.If)
    assert ast.unparse(first.test) == "len(text) > DECOMPOSED_MAX * characters_max"
    assert isinstance(first.body[-1], ast.Raise)


def test_modules_stay_short_enough_to_read():
    long = {
        path: lines
        for path, _ in modules()
        if (lines := len((ROOT / path).read_text().splitlines())) > MODULE_LINES_MAX
    }

    assert long == {}


def test_functions_stay_short_enough_to_read():
    long = [
        f"{path}:{node.lineno} {node.name} has {length} lines"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_MAX
    ]

    assert long == []


def test_no_client_of_http_leaves_it_to_the_environment_whether_a_proxy_is_asked_for_this_machine():
    """Each says so itself: by a transport, by trust_env,
    or in one of the three modules that decide by the address."""
    clients = {
        "httpx.Client",
        "httpx.AsyncClient",
        "Metronome",
        "AsyncMetronome",
        "DefaultHttpxClient",
    }
    shortcuts = re.compile(
        r"(httpx|requests)\.(get|post|put|patch|delete|head|request|stream|Session)|.*\burlopen"
    )
    decide = {
        "billing/metronome/network.py",
        "billing/payments/gateways/stripe/client.py",
        "bench/setup.py",
    }
    found = []
    for path in sorted(
        path for folder in (*PACKAGES, "bench", "tests") for path in (ROOT / folder).rglob("*.py")
    ):
        name = path.relative_to(ROOT).as_posix()
        calls = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
        ]
        is_exempt = name in decide or name.startswith("api/examples/")  # what a reader copies
        for node in [] if is_exempt else calls:
            called, said = ast.unparse(node.func), {keyword.arg for keyword in node.keywords}
            if shortcuts.fullmatch(called) or (
                called in clients and not said & {"transport", "trust_env", "http_client"}
            ):
                found.append(f"{name}:{node.lineno} {called}")

    assert found == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("billing.sync.grants.record", "sync"),
        ("billing.plans", "plans"),
        ("billing", None),
        ("usage.pages.studio", None),
    ],
)
def test_a_floor_is_known_by_the_dotted_name(name, expected):
    found = floor(name)

    assert (found and found[1]) == expected


@pytest.mark.parametrize(
    ("path", "source", "expected"),
    [
        ("billing/a.py", "from usage import speak", "usage.speak"),
        ("billing/a.py", "import usage.speak", "usage.speak"),
        ("billing/b/c.py", "def f():\n    from ..ledger import reserve", "billing.ledger.reserve"),
        ("billing/b/c.py", "from . import d", "billing.b.d"),
    ],
)
def test_imports_are_seen_however_they_are_written(path, source, expected):
    assert imports(path, ast.parse(source)) == {expected}
