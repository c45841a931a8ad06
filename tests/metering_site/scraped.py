"""What /metrics tells, read as Prometheus reads it."""

from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

TOKEN = "a-token-for-prometheus-alone"

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(client: Client) -> Figures:
    """Every sample of a scrape by name and labels."""
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200, answer.content
    return read(answer.content.decode())


def read(text: str) -> Figures:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(figures: Figures, name: str, **labels: str) -> float:
    """One sample; 0 where it was not counted yet."""
    return figures.get((name, frozenset(labels.items())), 0.0)


def moved(before: Figures, after: Figures, name: str, **labels: str) -> float:
    """By how much a sample rose between two scrapes."""
    return value(after, name, **labels) - value(before, name, **labels)
