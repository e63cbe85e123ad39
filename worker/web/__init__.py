"""The web server: URLs, WSGI, health checks, metrics, content security policy."""
