"""Model calls as OpenTelemetry spans and metrics, by its conventions for generative AI.

Names, units and buckets are those of
https://github.com/open-telemetry/semantic-conventions-genai (docs/gen-ai/gen-ai-spans.md and
gen-ai-metrics.md, status Development, as of 2026). What is sent where is said by OpenTelemetry's own
variables (`OTEL_EXPORTER_OTLP_ENDPOINT` ...). No text of a prompt or an answer is in it.
"""

import logging
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider

from core.costs.model_names import split_name
from core.crews.telemetry import FinishedCall

log = logging.getLogger(__name__)

SCOPE, OPERATION = "crewline", "chat"
TOKEN_BUCKETS = [4**power for power in range(14)]
SECOND_BUCKETS = [0.01 * 2**power for power in range(14)]
NANO = 10**9
# Our names of providers -> OpenTelemetry's, where they differ.
PROVIDERS = {
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "google": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "moonshotai": "moonshot_ai",
    "x-ai": "x_ai",
}


class OtelTelemetry:
    """Records calls with a tracer and a meter."""

    def __init__(self, traces: TracerProvider, metrics: MeterProvider) -> None:
        self._tracer, meter = traces.get_tracer(SCOPE), metrics.get_meter(SCOPE)
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKEN_BUCKETS,
        )
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=SECOND_BUCKETS,
        )

    def record(self, call: FinishedCall) -> None:
        """Take a call."""
        try:
            self._span(call)
            self._measure(call)
        except Exception:
            log.exception("a model call is lost to OpenTelemetry")

    def _span(self, call: FinishedCall) -> None:
        named = _named(call)
        span = self._tracer.start_span(
            f"{OPERATION} {named['gen_ai.request.model']}",
            kind=SpanKind.CLIENT,
            attributes=_given(named | _asked(call) | _answered(call)),
            start_time=call.began_ns,
        )
        if call.error is not None:
            span.set_attribute("error.type", call.error)
            span.set_status(Status(StatusCode.ERROR))
        span.end(call.ended_ns)

    def _measure(self, call: FinishedCall) -> None:
        named = _named(call)
        failed = {"error.type": call.error} if call.error else {}
        self._duration.record((call.ended_ns - call.began_ns) / NANO, named | failed)
        if call.tokens is not None:
            self._tokens.record(call.tokens.input, named | {"gen_ai.token.type": "input"})
            self._tokens.record(call.tokens.output, named | {"gen_ai.token.type": "output"})


def _named(call: FinishedCall) -> dict[str, str]:
    """Return what tells calls apart in metrics."""
    provider = split_name(call.model).provider
    return {
        "gen_ai.operation.name": OPERATION,
        "gen_ai.provider.name": PROVIDERS.get(provider, provider or "_OTHER"),
        "gen_ai.request.model": call.model.partition("/")[2] or call.model,
    }


def _asked(call: FinishedCall) -> dict[str, Any]:
    return {
        "gen_ai.conversation.id": call.flow,
        "gen_ai.agent.name": call.agent,
        "gen_ai.request.stream": call.streams or None,
        "gen_ai.request.max_tokens": call.max_tokens,
        "crewline.tenant": call.tenant,
        "crewline.crew": call.crew,
        "crewline.task": call.task,
        "crewline.step": call.step,
    }


def _answered(call: FinishedCall) -> dict[str, Any]:
    told = {
        "gen_ai.response.id": call.response_id,
        "gen_ai.response.finish_reasons": call.finish_reason and [call.finish_reason],
    }
    if (tokens := call.tokens) is None:
        return told
    return told | {
        "gen_ai.usage.input_tokens": tokens.input,
        "gen_ai.usage.output_tokens": tokens.output,
        "gen_ai.usage.cache_read.input_tokens": tokens.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": tokens.cache_write,
        "gen_ai.usage.reasoning.output_tokens": tokens.reasoning,
    }


def _given(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def over_otlp() -> OtelTelemetry:
    """Return what sends calls by OTLP over HTTP, in the background; at the process' end, the rest."""
    traces = sdk_trace.TracerProvider()
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return OtelTelemetry(traces, sdk_metrics.MeterProvider([reader]))
