"""Tests of containers: our image, and all of docker-compose.yml. ``make smoke`` runs them."""
