"""The settings under test: .env.example, never a developer's own .env with its real keys."""

import os

os.environ["ENV_FILE"] = ".env.example"
for name in ("DATABASE_URL", "REDIS_URL", "PORT", "SANDBOX_PORT", "STRIPE_SANDBOX_PORT"):
    os.environ.pop(name, None)
    if url := os.environ.get(f"TEST_{name}"):
        os.environ[name] = url

from vocalis.settings import *  # noqa: E402, F403
from vocalis.settings import DATABASES, IN_MEMORY_CACHE, STORAGES, VAR_DIR  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = STORAGES | {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file: an in-memory database shared by threads has table locks that a real one does not have.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR_DIR / f"test-{os.getpid()}.sqlite3")}
# A test's threads end with it, and would leave the connections they keep to the next test.
DATABASES["default"]["CONN_MAX_AGE"] = 0
STRIPE_API_URL = "http://127.0.0.1:9"  # nobody's: the fixture `stripe_box` is Stripe
STATIC_ROOT = VAR_DIR / "static"
# Whitenoise warns about a folder that is missing, and warnings are errors.
STATIC_ROOT.mkdir(exist_ok=True)
SPEECH_WARM = False  # tests import vocalis.asgi, too
CACHES = {"default": IN_MEMORY_CACHE}  # one of each test process, emptied by conftest
