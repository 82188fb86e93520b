from django.urls import path

from . import pages

urlpatterns = [
    path("banners/<int:banner_id>/close/", pages.close_banner, name="banner-close"),
    path("webhooks/", pages.page, name="webhooks"),
    path("webhooks/<uuid:endpoint_id>/", pages.endpoint_page, name="webhook"),
    path(
        "webhooks/<uuid:endpoint_id>/deliveries/<uuid:webhook_id>/resend/",
        pages.resend,
        name="webhook-resend",
    ),
]
