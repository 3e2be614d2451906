"""The production worker library, driven as the Functions host drives it, with its messages duck-typed instead of gRPC.

`azure-functions-runtime` is the worker of Python 3.13 and later; this is its internal API, hence the exact pin.
"""

from __future__ import annotations

import json
import sys
import uuid
from types import SimpleNamespace
from typing import Any

from azure.functions.decorators.core import BindingDirection, DataType
from azure_functions_runtime import handle_event

from connector.sandbox.servers import PROJECT
from tests.kit.privacy import leaks


class _Message(SimpleNamespace):
    """A protobuf message, as far as the worker looks at one: attributes, and which of a oneof is set."""

    def WhichOneof(self, group: str) -> str | None:
        return next((name for name in ("data", "json", "string", "model_binding_data") if name in vars(self)), None)


class _StatusResult(_Message):
    Failure, Success = 0, 1


class _BindingInfo(_Message):
    inout, out, undefined = BindingDirection.INOUT, BindingDirection.OUT, DataType.UNDEFINED


class _Protos:
    StatusResult, BindingInfo = _StatusResult, _BindingInfo

    def __getattr__(self, name: str) -> type[_Message]:
        return type(name, (_Message,), {})


class Failed(Exception):
    """What the host would log, and retry."""


class Worker:
    """A started worker that has indexed `function_app.py` under the environment of now."""

    @classmethod
    async def start(cls) -> Worker:
        # A worker process imports the app once; bindings are read then.
        sys.modules.pop("function_app", None)
        request = _Message(capabilities={}, function_app_directory=str(PROJECT))
        properties = {"host": "127.0.0.1", "protos": _Protos()}
        answer = await handle_event.worker_init_request(
            _Message(request=_Message(worker_init_request=request), properties=properties)
        )
        _check(answer.result)
        return cls()

    async def metadata(self) -> dict[str, Any]:
        """Function name to the bindings that the host is told of."""
        answer = await handle_event.functions_metadata_request(_Message())
        _check(answer.result)
        self._ids = {f.name: f.function_id for f in answer.function_metadata_results}
        return {f.name: [json.loads(b) for b in f.raw_bindings] for f in answer.function_metadata_results}

    async def blob(self, connection: str, container: str, name: str) -> None:
        """Delivers a blob's event, as an SDK-type binding gets it: where the blob is, and not its content."""
        where = {"Connection": connection, "ContainerName": container, "BlobName": name}
        data = _Message(
            version="1.0", source="AzureStorageBlobs", content_type="application/json", content=json.dumps(where)
        )
        feed, _, rest = name.partition("/")
        metadata = {"BlobTrigger": f"{container}/{name}", "feed": feed, "name": rest}
        await self._invoke("on_drop", "drop", _Message(model_binding_data=data), metadata)

    async def timer(self) -> None:
        info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        await self._invoke("on_tick", "timer", _Message(json=json.dumps(info)), {})

    async def _invoke(self, function: str, argument: str, data: _Message, metadata: dict[str, str]) -> None:
        request = _Message(
            invocation_id=str(uuid.uuid4()),
            function_id=self._ids[function],
            input_data=[_Message(name=argument, data=data)],
            trigger_metadata={key: _Message(string=value) for key, value in metadata.items()},
            trace_context=_Message(trace_parent="", trace_state="", attributes={}),
            retry_context=_Message(retry_count=0, max_retry_count=0, exception=None),
        )
        answer = await handle_event.invocation_request(_Message(request=_Message(invocation_request=request)))
        _check(answer.result)


def _check(result: _Message) -> None:
    if result.status != _StatusResult.Success:
        # The host logs both.
        assert leaks(result.exception.message + result.exception.stack_trace) == []
        raise Failed(result.exception.message)
