"""The entry of the web server: `granian --interface wsgi metering_site.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from tenants.postgresql import pulse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering_site.settings")

application = get_wsgi_application()
pulse.start()
