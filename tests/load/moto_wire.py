"""The lean transport without its sockets: calls of the router's own adapters, answered by moto in this process."""

from __future__ import annotations

import json
from typing import Any

from canary.wire.call import Patience
from canary.wire.endpoints import Service
from canary.wire.faults import Refusal
from tests.fakes.endpoint import Asked, Headers, moto_answers


class MotoWire:
    """Asks moto, which must be mocking AWS just now. Threads may share it."""

    def ask(self, service: Service, operation: str, document: str, patience: Patience) -> dict[str, Any]:
        headers = Headers(
            {
                "content-type": f"application/x-amz-json-{service.version}",
                "x-amz-target": f"{service.target}.{operation}",
                "authorization": f"AWS4-HMAC-SHA256 Credential=test/20261121/eu-west-1/{service.name}/aws4_request",
            }
        )
        said = moto_answers(Asked("POST", "/", headers, document.encode()))
        answer: dict[str, Any] = json.loads(said.raw)
        if said.status >= 300:
            raise Refusal(said.status, str(answer.get("__type", said.status)).rsplit("#", 1)[-1], answer)
        return answer

    def tell(self, service: Service, operation: str, document: str, patience: Patience) -> None:
        self.ask(service, operation, document, patience)
