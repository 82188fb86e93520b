"""The web process. Event streams go past Django's handler, which would hold a thread for each; see billing.stream."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vocalis.settings")
pages = get_asgi_application()

from billing import stream  # noqa: E402  models can be imported only now
from vocalis.checks import refuse_to_start  # noqa: E402

refuse_to_start()

STREAMS = "/api/webhooks/events/"


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    if scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")).startswith(STREAMS):
        await stream.serve(scope, receive, send)
    else:
        await pages(scope, receive, send)
