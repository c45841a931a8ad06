"""PostgreSQL and Valkey that come with pip, started and supervised for `make run` and `make test`."""
