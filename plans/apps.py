from django.apps import AppConfig


class PlansConfig(AppConfig):
    """Registers the check of the catalogue's codes."""

    name = "plans"
    verbose_name = "Plans and catalogue"

    def ready(self) -> None:
        """Import for the registration alone."""
        from plans import checks  # noqa: F401, PLC0415
