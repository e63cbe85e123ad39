"""A short round of ``make chaos``: nothing is lost, done twice or left hanging."""

from tests.support.programs import python, without_servers


def test_a_short_round_of_chaos_loses_doubles_and_leaves_hanging_nothing() -> None:
    options = ("--seed", "4", "--learners", "4000", "--faults", "26")

    process = python("-m", "chaos", *options, env=without_servers(), timeout=280)

    assert process.returncode == 0, process.stdout + process.stderr
    assert "0 lost, 0 doubled, 0 hanging, 0 other" in process.stdout
    for fault in (
        *("worker killed", "Redis restarted empty", "database killed", "fan-out killed at a line"),
        *("connections cut in COMMIT", "rows locked in other orders", "sessions killed"),
        *("table locked", "burst of small jobs", "callback that cannot be sent", "request that ends its worker"),
    ):
        assert fault in process.stdout
