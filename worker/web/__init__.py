"""The pages' server: addresses, probes, metrics, content security policy."""
