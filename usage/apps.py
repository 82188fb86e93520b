from django.apps import AppConfig
from django.conf import settings


class UsageConfig(AppConfig):
    name = "usage"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import engines

        engines.configure(helpers=settings.SPEECH_HELPERS)
