"""What every host is asked about money and learning, likewise."""

from datetime import UTC, datetime, timedelta

from core.costs.savings.recommendation import Kind, Target
from tests.hosts.asking import Line
from tests.hosts.request_table import JSON

DAY = (datetime.now(UTC) - timedelta(days=20)).date()  # is over: nothing is forecast of it
DAYS, AT = f"from={DAY}&to={DAY}", f"{DAY}T10:00:00+00:00"
TOKENS = {"prompt_tokens": 900, "completion_tokens": 20}
CALL = {
    "model": "openai/gpt-4o",
    "crew": "research_brief",
    "task_type": "gather",
    "agent": "researcher",
    "usage": TOKENS,
}
CALLS = {
    "calls": [
        {"id": "c1", "at": AT, **CALL},
        {"id": "c2", "at": AT, **CALL, "subject": "auth0|ann"},
    ]
}
LATELY = {"calls": [{"id": "c3", **CALL}]}
RIGHT = Target(
    Kind.RIGHT_SIZING,
    "research_brief",
    "gather",
    "researcher",
    "openai/gpt-4o",
    "openai/gpt-4o-mini",
)
TRIAL, NO_TRIAL = f"/v1/costs/savings/{RIGHT.id}/trial", "/v1/costs/savings/nothing/trial"
BUDGET = {"scope": "crew", "name": "research_brief", "window": "day", "limit_usd": "12.50"}
CONTEXT = {"message": "where is my bill"}
SAID = {"task": "route", "context": CONTEXT, "action": "billing"}

COSTS = [
    Line("cost_report", "GET", f"/v1/costs?{DAYS}"),
    Line("cost_report", "POST", "/v1/usage", body=CALLS),
    Line("cost_report", "POST", "/v1/usage", body=CALLS),
    Line(
        "cost_report",
        "POST",
        "/v1/usage",
        422,
        body={"calls": [{"id": "c9", "model": "m", "at": "never"}]},
    ),
    Line("cost_report", "POST", "/v1/usage", 400, JSON, b'{"calls": [1e999]}'),
    Line("cost_report", "GET", f"/v1/costs?{DAYS}&group_by=crew,subject"),
    Line(
        "cost_report",
        "GET",
        f"/v1/costs?{DAYS}&group_by=day",
        headers={"accept": "text/csv"},
        alone=True,
    ),
    Line(
        "cost_report",
        "GET",
        f"/v1/costs?{DAYS}&group_by=crew,subject&limit=1&format=csv",
        alone=True,
    ),
    Line("cost_report", "GET", f"/v1/costs?{DAYS}&format=focus", alone=True),
    Line("cost_report", "GET", f"/v1/costs?{DAYS}&group_by=flow", alone=True),
    Line("cost_report", "GET", "/v1/costs?from=never", 422, alone=True),
    Line("cost_report", "PATCH", "/v1/costs", 405, alone=True),
    Line("cost_report", "GET", f"/v1/costs/savings?{DAYS}"),
    Line("cost_report", "PUT", "/v1/budgets/brief-1", body=BUDGET),
    Line("cost_report", "PUT", "/v1/budgets/brief-1", 422, body={**BUDGET, "limit_usd": "much"}),
    Line("cost_report", "PUT", "/v1/budgets", body={"time_zone": "Europe/Berlin"}),
    Line("cost_report", "GET", "/v1/budgets"),
    Line("cost_report", "GET", "/v1/budgets/brief-1"),
    Line("cost_report", "DELETE", "/v1/budgets/brief-1", 204),
    Line("cost_report", "DELETE", "/v1/budgets/brief-1", 404),
    Line(
        "cost_report",
        "PUT",
        "/v1/prices/openai/gpt-4o-mini",
        body={"input": "0.10", "output": "0.40", "from": "2026-01-01"},
    ),
    Line(
        "cost_report",
        "PUT",
        "/v1/prices/openai%2Fgpt-4o-mini",
        body={"input": "0.10", "output": "0.40"},
        alone=True,
    ),
    Line("cost_report", "GET", "/v1/prices"),
    Line("cost_report", "GET", "/v1/prices/openai/gpt-4o-mini"),
    Line("cost_report", "DELETE", "/v1/prices/openai/gpt-4o-mini?from=2026-01-01", 204),
    Line("cost_report", "DELETE", "/v1/prices/openai/gpt-4o-mini", 204),
    Line("cost_report", "GET", "/v1/prices/openai/gpt-4o-mini", 404, alone=True),
    Line("cost_report", "POST", NO_TRIAL, 404, body={"share": 0.5}, alone=True),
    Line("cost_report", "POST", "/v1/usage", body=LATELY, alone=True),
    Line("cost_report", "POST", TRIAL, 201, body={"share": 0.5}),
    Line("cost_report", "POST", TRIAL, 409, body={"share": 0.5}),
    Line("cost_report", "GET", TRIAL),
    Line("cost_report", "GET", "/v1/costs/trials"),
    Line("cost_report", "DELETE", TRIAL),
    Line(
        "cost_report",
        "PUT",
        "/v1/costs/models/research_brief/weigh",
        body={"model": "openai/gpt-4o-mini"},
    ),
    Line(
        "cost_report",
        "PUT",
        "/v1/costs/models/research_brief/weigh",
        422,
        body={"model": "nobody/has-it"},
    ),
    Line("cost_report", "GET", "/v1/costs/models"),
    Line("cost_report", "DELETE", "/v1/costs/models/research_brief/weigh", 204),
]
LEARNING = [
    Line("feedback", "GET", "/v1/learning"),
    Line("feedback", "POST", "/v1/recommendations", body={"task": "route", "context": CONTEXT}),
    Line("feedback", "POST", "/v1/feedback", 202, body={**SAID, "id": "said-1"}),
    Line(
        "feedback",
        "POST",
        "/v1/feedback",
        202,
        body={"feedback": [{**SAID, "id": "said-1"}, {**SAID, "id": "said-2"}]},
    ),
    Line("feedback", "POST", "/v1/feedback", 422, body={"task": "route"}),
    Line(
        "feedback",
        "POST",
        "/v1/recommendations",
        body={"task": "route", "context": CONTEXT, "k": 1},
    ),
    Line("feedback", "GET", "/v1/learning?task=route"),
    Line("feedback", "PUT", "/v1/learning/route", 404, body={"version": 1}),
    Line("feedback", "DELETE", "/v1/feedback?task=route&subject=ann", 202),
    Line("feedback", "DELETE", "/v1/feedback?task=route", 204),
    Line("feedback", "DELETE", "/v1/feedback", 422, alone=True),
]
