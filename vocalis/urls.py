from django.contrib import admin
from django.urls import include, path

from . import health, pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("usage.urls")),
    path("health", health.health, name="health"),
    path("health/integrations", health.integrations, name="health_integrations"),
    path("admin/", admin.site.urls),
]

handler500 = "vocalis.pages.server_error"
