"""Having what was noticed told soon: the worker is asked, and nobody waits for that."""

import json
import os

import pytest
from celery import current_app
from redis import Redis

from alerts import nudging
from tests.alerts.quotas import quota, use
from tests.cast import Company
from tests.enforcement.api import Api

QUEUE = "metering:alerts"


@pytest.mark.usefixtures("committed")
def test_a_crossing_asks_a_worker_to_send_what_is_due(acme: Company, api: Api) -> None:
    """It is asked by a thread, which the answer to the commit does not wait for."""
    redis = Redis.from_url(os.environ["REDIS_URL"])
    redis.delete(QUEUE)
    quota(acme, 2)
    use(api, 1)
    found = redis.blpop([QUEUE], timeout=30)
    assert found is not None
    assert json.loads(found[1])["headers"]["task"] == nudging.TASK


def test_what_it_asks_for_is_a_task(acme: Company) -> None:
    current_app.loader.import_default_modules()
    assert {nudging.TASK, "alerts.tasks.sweep", "alerts.tasks.look_closely"} <= set(current_app.tasks)


def test_what_is_rolled_back_asks_nobody(acme: Company, api: Api) -> None:
    """In this test nothing is ever committed."""
    redis = Redis.from_url(os.environ["REDIS_URL"])
    redis.delete(QUEUE)
    quota(acme, 2)
    use(api, 1)
    assert not nudging._nudger.wanted.is_set()
    assert redis.llen(QUEUE) == 0
