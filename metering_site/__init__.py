"""The project: settings, URLs, the Celery app, the error handler and the embedded servers."""
