"""Filters of our templates."""

from django import template

from worker.admin.charts import label_of

register = template.Library()
register.filter("outcome", label_of)


@register.filter
def thousands(number: int) -> str:
    """Return a number with its thousands set apart."""
    return f"{number:,}"
