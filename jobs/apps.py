from django.apps import AppConfig
from django.db.models import Field

from .lookups import Among


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        Field.register_lookup(Among)
