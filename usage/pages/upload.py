"""A file as the text of the studio: read into the draft, to be seen and edited before it costs.

The form is the studio's own, so what was typed comes along. It is kept as the text before.
"""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from accounts import throttle, unsent
from accounts.access import CustomerRequest, customer_required
from usage import documents, text, uploads
from usage.speech import drafts, manner, problems

from . import answers, draft, editor

TOO_OFTEN = "You have brought many files. Wait some minutes and try again."
NO_FILE = "Choose a file first: .txt, .md, .docx or .epub."


@csrf_exempt
@uploads.in_memory
@unsent.form_only("studio")
@unsent.kept("text", "voice", *manner.FIELDS, page="studio")
@customer_required
@csrf_protect
def page(request: CustomerRequest) -> HttpResponseBase:
    if not throttle.is_allowed(request, "upload", account=str(request.customer.pk)):
        return editor.shown_again(request, 429, problem=TOO_OFTEN)
    file = request.FILES.get("file")
    if file is None:
        return editor.shown_again(request, 422, errors={"file": [NO_FILE]})
    try:
        if (file.size or 0) > documents.BYTES_MAX:
            raise documents.DocumentRefused(documents.TOO_LARGE)
        found, how = documents.read(file.name or "", file.read())
        count = text.count(found)
        if count > text.LONG_MAX_CHARACTERS:
            raise documents.DocumentRefused(_too_long(count))
        _keep(request, found)
    except documents.DocumentRefused as error:
        return editor.shown_again(request, 422, errors={"file": [str(error)]})
    except drafts.DraftChanged as error:
        return editor.shown_again(request, 409, other_draft=error.draft)
    except problems.Refused as error:
        problem = problems.problem_of(error)
        return editor.shown_again(request, problem.status, **answers.on_form(problem, {}))
    messages.success(
        request, f"Your file was read {how}: {count:,} characters. Nothing is charged yet."
    )
    return redirect("studio")


def _keep(request: CustomerRequest, found: str) -> None:
    """What was typed first, then the file in its place, so that neither is lost.

    Raises DraftChanged and Refused.
    """
    kept = draft.keep(request)
    typed = drafts.typed(request.POST.dict() | {"text": found})
    drafts.save(
        customer=request.customer,
        typed=typed,
        version=kept.version,
        now=timezone.now(),
        replaces=True,
    )


def _too_long(count: int) -> str:
    return (
        f"This file has {count:,} characters, and at most {text.LONG_MAX_CHARACTERS:,} can be "
        "spoken at once. Save some of its chapters as a file of their own, and take that."
    )
