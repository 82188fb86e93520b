from django.contrib import admin
from django.urls import include, path

from . import health, pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("", include("accounts.urls")),
    path("", include("notifications.urls")),
    path("", include("billing.urls")),
    path("", include("usage.urls")),
    path("", include("api.urls")),
    path("health", health.health, name="health"),
    path("health/integrations", health.integrations, name="health_integrations"),
    path("admin/", admin.site.urls),
    path("api/<path:rest>", pages.no_such_api, name="no_such_api"),  # last: what is not above
]

handler500 = "vocalis.pages.server_error"
