"""The pages on which a tenant's owners and admins say who is told what."""
