from django.apps import AppConfig


class VocalisConfig(AppConfig):
    name = "vocalis"
