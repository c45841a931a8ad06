"""What a tenant's people look at in a browser."""
