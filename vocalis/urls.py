from django.contrib import admin
from django.urls import include, path

from . import data_pages, health, pages
from .public import documents, landing, legal, pricing, status, wellknown

urlpatterns = [
    path("", landing.home, name="home"),
    path("hear/", landing.hear, name="hear"),
    path("hear/<str:token>/", landing.heard, name="heard"),
    path("pricing/", pricing.page, name="pricing"),
    path("", include("accounts.urls")),
    path("accounts/data/", data_pages.data, name="account_data"),
    path("accounts/data/download/", data_pages.download, name="account_download"),
    path("accounts/delete/", data_pages.delete_account, name="account_delete"),
    path("", include("notifications.urls")),
    path("", include("billing.urls")),
    path("", include("usage.urls")),
    path("", include("api.urls")),  # before the documents: some of its pages are among them
    path("docs/", documents.index, name="documents"),
    path("docs/<slug:slug>/", documents.page, name="document"),
    path("status/", status.page, name="status"),
    path("terms/", legal.terms, name="terms"),
    path("privacy/", legal.privacy, name="privacy"),
    path("robots.txt", wellknown.robots, name="robots"),
    path("sitemap.xml", wellknown.sitemap, name="sitemap"),
    path(".well-known/security.txt", wellknown.security, name="security_txt"),
    path("health", health.health, name="health"),
    path("health/integrations", health.integrations, name="health_integrations"),
    path("admin/", admin.site.urls),
    path("api/<path:rest>", pages.no_such_api, name="no_such_api"),  # last: what is not above
]

handler500 = "vocalis.pages.server_error"
