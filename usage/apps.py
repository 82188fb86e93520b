from django.apps import AppConfig
from django.conf import settings


class UsageConfig(AppConfig):
    name = "usage"

    def ready(self) -> None:
        from billing.live import feeds

        from . import engines
        from .engines import remote
        from .speech import progress

        engines.configure(helpers=settings.SPEECH_HELPERS)
        remote.configure(settings.SPEECH_SERVERS)
        feeds.add("speech_progress", progress.feed)
