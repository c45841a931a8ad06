"""What /metrics tells Prometheus: counts of this server's processes, and figures read from tables when it asks."""
