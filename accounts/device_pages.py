"""The page of the browsers in which somebody is logged in."""

from __future__ import annotations

from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from . import sessions
from .models import User
from .unsent import form_only


@require_http_methods(["GET", "HEAD"])
@login_required
@never_cache
def devices(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    places = sessions.of(user, here=request.session.session_key, now=timezone.now())
    context = {"places": places, "others": sum(not place.is_here for place in places)}
    return render(request, "accounts/devices.html", context)


@form_only("devices")
@login_required
def end_session(request: HttpRequest, session_id: int) -> HttpResponseBase:
    user = cast(User, request.user)
    if sessions.end(user=user, session_id=session_id):
        messages.success(request, "That browser is logged out.")
    return redirect("devices")


@form_only("devices")
@login_required
def end_other_sessions(request: HttpRequest) -> HttpResponseBase:
    user = cast(User, request.user)
    count = sessions.end_others(user=user, here=request.session.session_key)
    how_many = {0: "No other browser was", 1: "One other browser is"}
    words = how_many.get(count, f"{count} other browsers are")
    messages.success(request, f"{words} logged out.")
    return redirect("devices")
