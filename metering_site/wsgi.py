"""The entry of the web server: `granian --interface wsgi metering_site.wsgi:application`."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

from metering_site.metrics import folder
from tenants.postgresql import pulse

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "metering_site.settings")

folder.begin(settings.METRICS_DIR)  # before anything is imported that counts
application = get_wsgi_application()
pulse.start()
