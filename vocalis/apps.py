from django.apps import AppConfig


class VocalisConfig(AppConfig):
    name = "vocalis"

    def ready(self) -> None:
        from . import checks  # noqa: F401  registers them
