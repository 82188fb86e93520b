from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from mails import render

        from .live import banners, feeds
        from .recharge import one_click

        feeds.add("banner", banners.feed)
        for kind in ("recharge.done", "recharge.limit_near", "recharge.limit_reached"):
            render.add(kind, one_click.context_of)
