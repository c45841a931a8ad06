"""The database engine of the settings: Django's for PostgreSQL, on connections that do not wait for a silent server."""
