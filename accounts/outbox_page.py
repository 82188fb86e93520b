"""The outbox of a site under development: the mails that a production site would have sent.

People see their own mails, staff see all. Not everybody sees everything, although the machine is
one's own: a site with DEBUG may be reached through a tunnel or over the network, and whoever read
the links to reset passwords could take over any account. For a reset without a login, the worker's
log has the link.
"""

from __future__ import annotations

from typing import cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_safe

from mails import kept

from .models import User

# A mail has its styles in itself, runs nothing, loads nothing, and is shown in our frame only.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox allow-top-navigation-by-user-activation"
)
# Its links lead the page, not the frame.
BASE = '<base target="_top">'


@require_safe
@never_cache
@login_required
def outbox(request: HttpRequest) -> HttpResponse:
    mails = kept.mails(user_id=_whose(request))
    return render(request, "accounts/outbox.html", {"mails": mails})


@require_safe
@never_cache
@xframe_options_sameorigin
@login_required
def mail_as_html(request: HttpRequest, name: str) -> HttpResponse:
    """The HTML of one mail, for the frame on the page."""
    found = kept.mail(name, user_id=_whose(request))
    if found is None:
        raise Http404
    response = HttpResponse(found.html.replace("<head>", f"<head>{BASE}", 1))
    response["Content-Security-Policy"] = POLICY
    return response


def _whose(request: HttpRequest) -> int | None:
    """Whose mails the user may see; None for everybody's. Raises Http404 in production."""
    if not kept.is_on():
        raise Http404
    user = cast(User, request.user)
    return None if user.is_staff else user.pk
