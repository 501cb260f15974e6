"""Model calls of real CrewAI as OpenTelemetry spans and metrics, read from its own exporters in memory."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from core.adapters.crewai.models import model_from
from core.adapters.crewai.runner import CrewAIRunner
from core.adapters.memory import MemoryBlobs
from core.adapters.otel import OtelTelemetry
from core.adapters.price_catalogues import CataloguePriceBook
from core.crews.crew_runner import StepFailedError
from tests.crewai_parts import QUICK, Recorder, a_crew, a_step
from tests.model_server import Provider, a_provider


class Backend:
    """What OpenTelemetry was told."""

    def __init__(self) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        traces = TracerProvider()
        traces.add_span_processor(SimpleSpanProcessor(self._spans))
        self.telemetry = OtelTelemetry(traces, MeterProvider([self._reader]))

    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._spans.get_finished_spans()

    def points(self, metric: str) -> list[Any]:
        """The points of a metric, by its unit and with their attributes."""
        data = self._reader.get_metrics_data()
        found = [
            each
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for each in scope.metrics
            if each.name == metric
        ]
        return [(each.unit, point) for each in found for point in each.data.data_points]


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Backend:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "false")  # CrewAI's environment turns it off
    return Backend()


@pytest.fixture
def provider() -> Iterator[Provider]:
    with a_provider() as provider:
        yield provider


async def run(provider: Provider, backend: Backend, *replies: Any) -> Recorder:
    """Run a step with a model that answers so."""
    provider.replies.extend(replies)
    runner = CrewAIRunner(
        model_from("openai/gpt-4o-mini", provider.url, "key"), {}, {}, CataloguePriceBook(),
        MemoryBlobs(), retries=QUICK, telemetry=backend.telemetry,
    )  # fmt: skip
    session = Recorder()
    await runner.run(a_step(a_crew()), session)
    return session


NAMED = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
}


async def test_a_call_is_a_span_by_the_conventions_without_its_texts(
    provider: Provider, backend: Backend
):
    await run(provider, backend, {"content": "a secret answer"})
    (span,) = backend.spans()
    assert (span.name, span.kind) == ("chat gpt-4o-mini", SpanKind.CLIENT)
    assert dict(span.attributes or {}) == NAMED | {
        "gen_ai.conversation.id": "f1",
        "gen_ai.agent.name": "clerk",
        "gen_ai.response.id": "c1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 0,
        "crewline.tenant": "acme",
        "crewline.crew": "office",
        "crewline.task": "one",
        "crewline.step": "one",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert "secret" not in span.to_json()


async def test_tokens_and_times_are_histograms_by_the_conventions(
    provider: Provider, backend: Backend
):
    await run(provider, backend, {"content": "yes"})
    tokens = {
        point.attributes["gen_ai.token.type"]: (unit, point.sum, point.explicit_bounds)
        for unit, point in backend.points("gen_ai.client.token.usage")
    }
    buckets = tuple(4**power for power in range(14))
    assert tokens == {"input": ("{token}", 100, buckets), "output": ("{token}", 20, buckets)}
    [(unit, duration)] = backend.points("gen_ai.client.operation.duration")
    assert (unit, duration.count, dict(duration.attributes)) == ("s", 1, NAMED)
    assert 0 < duration.sum < 30
    assert duration.explicit_bounds[:3] == (0.01, 0.02, 0.04)
    assert duration.explicit_bounds[-1] == pytest.approx(81.92)


async def test_a_call_that_fails_says_what_kind_of_error_it_was(
    provider: Provider, backend: Backend
):
    with pytest.raises(StepFailedError):
        await run(provider, backend, (400, {"error": {"message": "a secret reason"}}))
    (span,) = backend.spans()
    assert (span.attributes or {})["error.type"] == "400"
    assert span.status.status_code is StatusCode.ERROR
    assert "secret" not in span.to_json()
    [(_, duration)] = backend.points("gen_ai.client.operation.duration")
    assert duration.attributes["error.type"] == "400"
    assert backend.points("gen_ai.client.token.usage") == []


async def test_tokens_that_nobody_reported_are_not_made_up(provider: Provider, backend: Backend):
    provider.usage = None
    await run(provider, backend, {"content": "yes"})
    (span,) = backend.spans()
    assert "gen_ai.usage.input_tokens" not in (span.attributes or {})
    assert backend.points("gen_ai.client.token.usage") == []


async def test_a_telemetry_that_breaks_costs_no_answer(
    provider: Provider, backend: Backend, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(backend.telemetry, "_tracer", None)
    session = await run(provider, backend, {"content": "yes"})
    assert len(session.usages) == 1


LOADED = """
import json, os, sys
from core import bootstrap
told = bootstrap.telemetry()
ours = "core.adapters.otel" in sys.modules
print(json.dumps([told is not None, ours, "opentelemetry" in sys.modules]))
"""


@pytest.mark.parametrize("switch", ["on", "off", None])
def test_it_is_loaded_only_where_the_settings_want_it(switch: str | None):
    environ = {
        "UPSTASH_REDIS_REST_URL": "https://redis.example.com",
        "UPSTASH_REDIS_REST_TOKEN": "t",
        "CREWLINE_BUCKET": "b",
        "CREWLINE_JWT_KEYS": f"new:{'n3w-s3crets' * 3}",
    } | ({} if switch is None else {"CREWLINE_OTEL": switch})
    ran = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, env=environ, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [switch == "on"] * 3
