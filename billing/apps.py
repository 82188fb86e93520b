from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from .live import banners, feeds

        feeds.add("banner", banners.feed)
