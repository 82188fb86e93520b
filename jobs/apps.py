from django.apps import AppConfig
from django.db.models import Field

from .lookups import Among


class JobsConfig(AppConfig):
    name = "jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        Field.register_lookup(Among)
