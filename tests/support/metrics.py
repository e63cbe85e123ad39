"""The metrics of the ledger, as Prometheus reads them."""

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families as parse

Samples = dict[tuple[str, ...], float]


def scrape() -> Samples:
    """Return the samples of a scrape: value by name and label values, the one of ``dry_run`` last."""
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    text = answer.content.decode()
    return {(one.name, *of(one.labels)): one.value for family in parse(text) for one in family.samples}


def of(labels: dict[str, str]) -> list[str]:
    return [labels[name] for name in sorted(labels, key="dry_run".__eq__)]


def learners(samples: Samples) -> dict[str, float]:
    """Return the learners of real jobs by outcome, but the zeros."""
    return {key[1]: value for key, value in samples.items() if key[::2] == ("linking_learners_total", "no") and value}
