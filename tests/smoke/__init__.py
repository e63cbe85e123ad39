"""Real containers: our image, and the whole of docker-compose.yml. They run by ``make smoke``."""
