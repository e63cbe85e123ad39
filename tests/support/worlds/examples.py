"""Settings of property tests over random worlds."""

import os

import pytest
from hypothesis import HealthCheck, settings


def number_of(default: int, variable: str = "LINKING_WORLDS") -> int:
    """Return how many worlds a test runs: the environment variable, or the default."""
    return int(os.environ.get(variable, default))


def random_worlds(default: int, variable: str = "LINKING_WORLDS") -> settings:
    """Return settings for a fixed set of worlds by default, and for new ones where the variable gives their number."""
    return settings(
        max_examples=number_of(default, variable),
        derandomize=variable not in os.environ,
        deadline=None,
        print_blob=True,
        suppress_health_check=[
            *(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)
        ],
    )


def long_timeout(default: int, variable: str = "LINKING_WORLDS") -> pytest.MarkDecorator:
    """Return a timeout that leaves Hypothesis the five minutes that it may take to reduce a failing world."""
    return pytest.mark.timeout(600 + number_of(default, variable))
