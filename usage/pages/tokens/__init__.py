"""The ATI tokens of a tenant: invitations, and the credentials of its people."""
