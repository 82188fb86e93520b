from django.contrib import admin
from django.urls import include, path

from . import pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("", include("accounts.urls")),
    path("", include("billing.urls")),
    path("", include("usage.urls")),
    path("admin/", admin.site.urls),
]
