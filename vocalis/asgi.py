import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vocalis.settings")
application = get_asgi_application()

from vocalis.checks import refuse_to_start  # noqa: E402  needs the apps

refuse_to_start()
