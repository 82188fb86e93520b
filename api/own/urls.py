from __future__ import annotations

from django.urls import path

from . import (  # noqa: F401  each adds its operations
    account,
    generations,
    keys,
    speech,
    voices,
    webhooks,
)
from .api import api

urlpatterns = [path("v1/", api.urls)]
