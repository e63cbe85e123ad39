"""The last file of each program, in digests: what an import in diff mode compares a file with."""

from typing import ClassVar

from django.db import models


class ProgramFile(models.Model):
    """The file of a program that was imported last, of programs whose rows are remembered."""

    program_uuid = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=255)  # Of the file.
    digest = models.CharField(max_length=64)  # SHA-256 of its content, in hex.
    total = models.PositiveIntegerField()  # Rows of the program in it.
    imported = models.DateTimeField(auto_now=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"file {self.name} of program {self.program_uuid}"


class ImportedRow(models.Model):
    """A row of the last file of a program, unless its learner failed or was undone: keyed digests, no names."""

    pk = models.CompositePrimaryKey("program_uuid", "key_digest")
    program_uuid = models.UUIDField()
    key_digest = models.UUIDField()  # Of program and key without regard to case.
    row_digest = models.BigIntegerField()  # Of program, key without regard to case, and username.

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"row of program {self.program_uuid}"


class UnsettledImport(models.Model):
    """A job of an imported file, or the undo of one, whose outcomes the imported rows do not follow yet.

    When the job has ended, the rows of learners that failed, or were undone, are removed: the next file has them anew.
    """

    job_id = models.UUIDField(primary_key=True)
    program_uuid = models.UUIDField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["program_uuid"], name="unsettled_program")]
        default_permissions = ()

    def __str__(self) -> str:
        return f"unsettled import {self.job_id}"
