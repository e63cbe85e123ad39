"""The parts of the benchmarks that differ on MySQL and MariaDB."""
