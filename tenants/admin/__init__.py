"""The console's pages of tenants, people, ATI tokens and service keys."""

from django.contrib import admin
from django.contrib.auth.models import Group

from tenants.admin import key, tenant, token, user, version  # noqa: F401 - registers them

# Roles say what people may do; a group would be a second answer to the same question.
admin.site.unregister(Group)
