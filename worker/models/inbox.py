"""The files of the nightly import."""

import uuid

from django.db import models


class InboxFile(models.Model):
    """A file of the nightly import.

    ============= ======================================================== ============================================
    State         Meaning                                                  Next
    ============= ======================================================== ============================================
    ``taken``     the row exists; the file is moved, or about to be        ``submitted``, ``refused``: the file was read
                  moved, to ``taken/``
    ``submitted`` its jobs are in the ledger                               ``done``: they ended, the report is written
    ``refused``   its faults are written beside it                         ``rejected``: both were moved
    ``in place``  it stays where it is; some of its jobs are submitted     ``done``: all are; ``rejected``
    ``done``      in ``done/`` with its report, or all jobs of a file      final
                  that stays in place are submitted
    ``rejected``  in ``rejected/`` with its faults                         final
    ``left``      in the inbox, not to be imported                         final; deleted when it is gone
    ============= ======================================================== ============================================
    """

    class State(models.TextChoices):
        """States of a file; the last three are final."""

        TAKEN = "taken"
        SUBMITTED = "submitted"
        REFUSED = "refused"
        IN_PLACE = "in place"
        DONE = "done"
        REJECTED = "rejected"
        LEFT = "left"

    # Names the file in taken/, and with a program's UUID its job.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=255)  # Name of the file when it was dropped.
    kept_as = models.CharField(max_length=255, blank=True)  # Name in done/ or rejected/.
    state = models.CharField(max_length=9, choices=State, default=State.TAKEN)  # See the table above.
    # How it is imported: force (bool), max_relinks (int, "N%" or null), mode ("diff"; absent: all rows).
    options = models.JSONField(default=dict)
    # SHA-256 of the content, in hex: the same content is not imported twice.
    digest = models.CharField(max_length=64, blank=True, db_index=True)
    jobs = models.JSONField(default=list)  # Ids of its jobs.
    # Why it, or a program in it, was refused, or why it is left in the inbox; names no learner.
    message = models.TextField(blank=True)
    created = models.DateTimeField(auto_now_add=True)  # When the row was written.
    # When a process last worked on it: a lease of LINKING_STALL_AFTER seconds. (The column has an older name.)
    leased = models.DateTimeField(null=True, db_column="attended")
    finished = models.DateTimeField(null=True)  # When it reached a final state, or was last logged as left.

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"file {self.name} ({self.state})"
