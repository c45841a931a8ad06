"""The people of a tenant, and what each of its users may use."""
