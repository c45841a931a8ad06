"""The API as a service calls it, in one process."""

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from django.test import Client

_keys = count(1)


class Api:
    """Calls with one credential; each enforce has a key of its own unless one is given."""

    def __init__(self, credential: str | None, **headers: str) -> None:
        self.client = Client(raise_request_exception=False)
        self.headers = dict(headers)
        if credential is not None:
            self.headers["Authorization"] = f"Bearer {credential}"

    def post(self, path: str, body: object = None, **headers: str) -> Any:
        return self.raw(path, json.dumps({} if body is None else body).encode(), **headers)

    def raw(self, path: str, body: bytes, *, content_type: str = "application/json", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"/api/v1{path}", body, content_type=content_type, headers=self.headers | named)

    def get(self, path: str, **query: str) -> Any:
        return self.client.get(f"/api/v1{path}", query, headers=self.headers)

    def enforce(self, tenant: str | None, task: str | None, *, key: str | None = None, **fields: Any) -> dict[str, Any]:
        """A decision."""
        response = self.ask(tenant, task, key=key, **fields)
        assert response.status_code == 200, response.content
        answer: dict[str, Any] = response.json()
        return answer

    def ask(self, tenant: str | None, task: str | None, *, key: str | None = None, **fields: Any) -> Any:
        body = body_of(tenant, task, **fields)
        return self.post("/enforce", body, Idempotency_Key=key or f"key-{next(_keys)}")

    def check(self, tenant: str, task: str, **fields: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.post("/check", body_of(tenant, task, **fields)).json()
        return answer

    def commit(self, reservation: str, **fields: Any) -> Any:
        return self.post(f"/reservations/{reservation}/commit", fields)


def body_of(tenant: str | None, task: str | None, **fields: Any) -> dict[str, Any]:
    """An enforce body; tokens_in, tokens_out, api_calls, items go into the estimate."""
    body: dict[str, Any] = {name: value for name, value in {"tenant": tenant, "task": task}.items() if value}
    names = {"tokens_in": "input_tokens", "tokens_out": "max_output_tokens", "api_calls": "api_calls", "items": "items"}
    estimate = {names[name]: fields.pop(name) for name in list(fields) if name in names}
    return body | ({"estimate": estimate} if estimate else {}) | fields


def fields_of(problem: Mapping[str, Any]) -> list[str]:
    """The fields a problem names."""
    return [error["field"] for error in problem["errors"]]
