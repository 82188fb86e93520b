from django.urls import path

from . import mail_pages, outbox_page, views

urlpatterns = [
    path("accounts/signup/", views.sign_up, name="signup"),
    path("accounts/login/", views.log_in, name="login"),
    path("accounts/logout/", views.log_out, name="logout"),
    path("accounts/profile/", views.edit_profile, name="profile"),
    path("accounts/confirm/", mail_pages.ask, name="confirmation"),
    path("accounts/confirm/keep/", mail_pages.keep_address, name="keep_address"),
    path("accounts/confirm/<str:token>/", mail_pages.confirm, name="confirm_address"),
    path("accounts/mail/", mail_pages.preferences_page, name="mails"),
    path("accounts/mail/off/<str:token>/", mail_pages.unsubscribe, name="mails-unsubscribe"),
    path("outbox/", outbox_page.outbox, name="outbox"),
    path("outbox/<str:name>/", outbox_page.mail_as_html, name="outbox-mail"),
    path("accounts/password/", views.PasswordChange.as_view(), name="password_change"),
    path("accounts/password/reset/", views.ask_password_reset, name="password_reset"),
    path(
        "accounts/password/reset/<uidb64>/<token>/",
        views.PasswordResetConfirm.as_view(),
        name="password_reset_confirm",
    ),
]
