"""The table of the plug-in."""

from django.db import models


class ProcessedEvent(models.Model):
    """An event that was processed: it may be delivered again, under the same id."""

    id = models.UUIDField(primary_key=True)
    processed = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"event {self.pk}, processed {self.processed}"
