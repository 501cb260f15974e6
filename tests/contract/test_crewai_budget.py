"""A call that a budget has too little room for asks the model for less. CrewAI's own LLM over HTTP."""

import pytest

from core.adapters.crewai.models import model_from
from core.adapters.memory import MemoryAgreedPrices, MemoryBudgets, MemoryFlows
from core.costs.budget import Budget, Scope
from core.costs.prices import TOOL_WRAPPING_TOKENS, WRAPPING_TOKENS
from core.costs.tenant_prices import ALWAYS, Price, TenantPrices
from core.costs.windows import Window
from core.crews.clock import NoLimit
from tests.crewai_parts import RunnerHarness, a_crew, a_harness, a_step
from tests.model_server import Provider, a_provider
from tests.scripted_provider import Turn, playing
from tests.worker_parts import a_crew as three_tasks
from tests.worker_parts import a_worker, launched

OUTPUT = 600  # nano-dollars that gpt-4o-mini asks for a token of an answer
LIMIT = 16_384  # tokens that it answers at most


@pytest.fixture
def provider():
    with a_provider() as running:
        yield running


def served_by(provider: Provider, **settings: int) -> RunnerHarness:
    fresh = model_from("openai/gpt-4o-mini", provider.url, "sk-0123456789")

    def limited():
        llm = fresh()
        for name, value in settings.items():
            setattr(llm, name, value)
        return llm

    return a_harness(llm=limited)


async def test_with_money_enough_the_model_is_told_no_limit(provider: Provider):
    provider.replies.append({"content": "hello"})
    harness = served_by(provider)
    await harness.run(a_step(a_crew()))
    assert not {"max_tokens", "max_completion_tokens"} & provider.requests[0].keys()
    [(_, bound)] = harness.session.reserved
    assert bound.output_tokens == LIMIT
    [least] = harness.session.least
    assert least == bound.cost_nanodollars - (LIMIT - 256) * OUTPUT


@pytest.mark.parametrize("settings", [{}, {"max_tokens": 9_000}, {"max_completion_tokens": 9_000}])
async def test_with_less_it_may_answer_what_there_is_money_for(
    provider: Provider, settings: dict[str, int]
):
    provider.replies.extend([{"content": "hello"}] * 2)
    harness = served_by(provider, **settings)
    await harness.run(a_step(a_crew()))
    [(_, whole)] = harness.session.reserved
    harness.session.headroom = whole.cost_nanodollars - 5_000 * OUTPUT - 1
    await harness.run(a_step(a_crew()))
    _, (_, bound) = harness.session.reserved
    assert bound.output_tokens == whole.output_tokens - 5_001
    assert bound.cost_nanodollars <= harness.session.headroom
    name = next(iter(settings), "max_tokens")
    assert provider.requests[1][name] == bound.output_tokens


async def test_the_limit_of_one_call_is_not_that_of_the_next(provider: Provider):
    provider.replies.extend([{"content": ""}, {"content": "hello"}])  # the first is asked again
    harness = served_by(provider)
    asked = harness.session.before

    def before(method: str) -> None:
        asked(method)
        first = not harness.session.reserved
        harness.session.headroom = 5_000_000 if first else None

    harness.session.before = before
    assert (await harness.run(a_step(a_crew())))["raw"] == "hello"
    short, whole = (request.get("max_tokens") for request in provider.requests)
    assert short is not None
    assert whole is None


async def test_only_a_call_with_tools_is_held_with_what_a_provider_adds_to_explain_them():
    bounds = list[int]()
    for tools in ((), ("size",)):
        harness = a_harness("ok", native=True)
        await harness.run(a_step(a_crew(tools=tools)))
        [(_, held)] = harness.session.reserved
        bounds.append(held.input_tokens)
    without, with_tools = bounds
    assert with_tools - without > TOOL_WRAPPING_TOKENS - WRAPPING_TOKENS


@pytest.mark.parametrize(("limit", "status"), [(1_200_000, "succeeded"), (200_000, "waiting")])
async def test_a_flow_makes_shorter_calls_while_they_are_of_use_and_then_none(
    limit: int, status: str
):
    memory = MemoryFlows()
    budgets = MemoryBudgets(memory)
    await budgets.save("t", Budget("b", Scope.TENANT, Window.DAY, limit))
    with playing(*[Turn("hello")] * 3) as provider:
        harness = a_harness(llm=model_from("openai/gpt-4o-mini", provider.url, "sk-1"))
        await launched(memory, three_tasks())
        await a_worker(memory, harness.runner).run_flow("t", "f", NoLimit())
    flow = await memory.state("t", "f")
    assert flow.head.status == status
    assert len(provider.requests) == (3 if status == "succeeded" else 0)
    assert all(256 < request["max_tokens"] < LIMIT for request in provider.requests)
    spent = sum(each.spent_nanodollars for each in (await budgets.all("t")).states)
    assert spent == flow.usage.cost_nanodollars <= limit
    assert flow.waits_for_money is (status == "waiting")


@pytest.mark.parametrize(
    ("limit", "said", "asked"), [(600_000, "the budget team", 1), (None, "length", 2)]
)
async def test_an_answer_that_is_cut_off_for_a_budget_names_it_and_is_not_paid_for_again(
    limit: int | None, said: str, asked: int
):
    memory = MemoryFlows()
    if limit is not None:
        budget = Budget("team", Scope.TENANT, Window.DAY, limit)
        await MemoryBudgets(memory).save("t", budget)
    with playing(Turn("half of", finish="length")) as provider:
        harness = a_harness(llm=model_from("openai/gpt-4o-mini", provider.url, "sk-1"))
        await launched(memory, three_tasks())
        await a_worker(memory, harness.runner).run_flow("t", "f", NoLimit())
    flow = await memory.state("t", "f")
    assert flow.head.status == "failed"
    assert said in (flow.error or "")
    assert "cut off" in (flow.error or "")
    assert len(provider.requests) == asked


async def test_a_flow_pays_what_its_tenant_agreed_on_as_soon_as_that_is_said():
    """The worker has priced a call by the list before; it hears of the new price as it reserves."""
    memory = MemoryFlows()
    agreed = MemoryAgreedPrices(memory)
    with playing(*[Turn("hello")] * 6) as provider:
        harness = a_harness(llm=model_from("openai/gpt-4o-mini", provider.url, "sk-1"))
        costs = list[int]()
        for flow, dollars in (("f", None), ("g", 1_000), ("h", 2_000)):
            if dollars is not None:
                entry = {"input": dollars, "output": dollars}
                await agreed.save("t", Price("openai/gpt-4o-mini", ALWAYS, entry))
            await launched(memory, three_tasks(), flow=flow)
            await a_worker(memory, harness.runner).run_flow("t", flow, NoLimit())
            used = (await memory.state("t", flow)).usage
            costs.append(used.cost_nanodollars // (used.input_tokens + used.output_tokens))
    assert costs[0] < 1_000
    assert costs[1:] == [1_000_000, 2_000_000]


async def test_a_call_is_settled_by_the_prices_it_was_reserved_with():
    """While it is under way the worker hears of others, since another step has reserved by them."""
    price = Price("openai/gpt-4o-mini", ALWAYS, {"input": 1_000, "output": 1_000})

    def hears_of_a_price() -> str:
        harness.runner._deps.prices.learn("acme", TenantPrices(1, (price,)))
        return "hello"

    harness = a_harness(hears_of_a_price)
    await harness.run(a_step(a_crew()))
    [usage] = harness.usages
    assert usage.cost_nanodollars == 10 * 150 + 2 * 600


async def test_a_model_that_says_nothing_of_its_usage_brings_no_budget_over_its_limit():
    """Each of these characters may be three tokens, and is billed as one at least."""
    memory = MemoryFlows()
    budgets = MemoryBudgets(memory)
    text, limit = "茶" * 4_000, 12_000_000
    await budgets.save("t", Budget("b", Scope.TENANT, Window.DAY, limit))
    with playing(*[Turn(text, usage=None)] * 3) as provider:
        harness = a_harness(llm=model_from("openai/gpt-4o-mini", provider.url, "sk-1"))
        await launched(memory, three_tasks())
        await a_worker(memory, harness.runner).run_flow("t", "f", NoLimit())
        asked = len(provider.requests)
    [state] = (await budgets.all("t")).states
    assert asked * 3 * len(text) * OUTPUT > limit >= state.spent_nanodollars
    assert state.spent_nanodollars > asked * len(text) * OUTPUT
