from django.urls import path

from . import device_pages, login_pages, mail_pages, outbox_page, security_pages, views

urlpatterns = [
    path(".well-known/change-password", views.change_password, name="change_password"),
    path("accounts/signup/", views.sign_up, name="signup"),
    path("accounts/login/", login_pages.log_in, name="login"),
    path("accounts/login/second/", login_pages.second, name="login_second"),
    path("accounts/login/passkey/", login_pages.use_passkey, name="passkey_use"),
    path("accounts/login/passkey/options/", login_pages.passkey_options, name="passkey_options"),
    path("accounts/login/again/", login_pages.reauthenticate, name="reauthenticate"),
    path("accounts/logout/", views.log_out, name="logout"),
    path("accounts/profile/", views.edit_profile, name="profile"),
    path("accounts/security/", security_pages.security, name="security"),
    path("accounts/security/app/", security_pages.authenticator_app, name="authenticator_app"),
    path(
        "accounts/security/app/remove/",
        security_pages.remove_app,
        name="authenticator_app_remove",
    ),
    path("accounts/security/codes/", security_pages.new_recovery_codes, name="recovery_codes"),
    path("accounts/security/passkeys/", security_pages.add_passkey, name="passkey_add"),
    path(
        "accounts/security/passkeys/options/",
        security_pages.passkey_options,
        name="passkey_add_options",
    ),
    path(
        "accounts/security/passkeys/<int:passkey_id>/remove/",
        security_pages.remove_passkey,
        name="passkey_remove",
    ),
    path("accounts/devices/", device_pages.devices, name="devices"),
    path("accounts/devices/others/", device_pages.end_other_sessions, name="sessions_end_others"),
    path("accounts/devices/<int:session_id>/", device_pages.end_session, name="session_end"),
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
