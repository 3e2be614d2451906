"""The bindings, and nothing else: what happens is in `connector/pipeline.py`."""

import azure.functions as func
from azurefunctions.extensions.bindings import blob

from connector.outside.settings import Bindings, Monitoring, Settings

app = func.FunctionApp()
bindings = Bindings.of()


@app.function_name("on_drop")
@app.blob_trigger(
    arg_name="drop",
    path=f"{bindings.inbox}/{{feed}}/{{name}}",
    connection="HR_STORAGE",
    # Flex Consumption has no other blob trigger (Azure Functions, "Flex Consumption plan").
    source=func.BlobSource.EVENT_GRID,
)
async def on_drop(drop: blob.BlobClient) -> None:
    """A blob has landed. Its content stays in storage: the connector streams it."""
    from connector.outside.telemetry.invocation import invocation
    from connector.wiring import connected, managed_identity

    async with (
        invocation("on_drop", Monitoring.of().connection_string),
        connected(Settings.of(), credential=managed_identity) as pipeline,
    ):
        await pipeline.on_drop(drop.blob_name)


@app.function_name("on_tick")
@app.timer_trigger(arg_name="timer", schedule=bindings.schedule, use_monitor=True)
async def on_tick(timer: func.TimerRequest) -> None:
    """Sweeps, drains and settles."""
    from connector.outside.telemetry.invocation import invocation
    from connector.wiring import connected, managed_identity

    async with (
        invocation("on_tick", Monitoring.of().connection_string),
        connected(Settings.of(), credential=managed_identity, examines=True) as pipeline,
    ):
        await pipeline.on_tick()
