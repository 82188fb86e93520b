from __future__ import annotations

from django.urls import path

from . import account, generations, keys, speech, voices  # noqa: F401  each adds its operations
from .api import api

urlpatterns = [path("v1/", api.urls)]
