"""The fields of CrewAI's agents, tasks and crews that a crew.yaml does not have, and what to write instead.

Of CrewAI's YAML files, of its attributes that a text could set, and of its crew.py.
"""

from collections.abc import Mapping

_CACHE = "is not supported: every call of a tool is made"
_CALLBACK = "is not supported: follow the flow's events, or be sent them as webhooks (docs/amp.md)"
_CODE = "is not supported: agents write no code that is run; add a tool (docs/crews.md)"
_FILE = "is not supported: the flow's output is in its state, what came before it in its events"
_GUARDRAIL = "is not supported: write guardrails: [...] in the task"
_GUARDRAIL_RETRIES = "is not supported: an answer that is refused is asked for again, twice at most"
_KNOWLEDGE = "is not supported: what agents must know is an input, or comes from a tool"
_LOG = "is not needed: every event of a flow is in its log"
_MEMORY = (
    "is not supported: an agent is told the answers of earlier tasks, and nothing of other flows"
)
_MODEL = "is not supported: CREWLINE_MODEL chooses the model; a tenant may choose one for a task (docs/costs.md)"
_NATIVE = "is not supported: the only tools are those in crews/allow_list.py"
_PLANNING = "is not supported: process: hierarchical has a manager who plans"
_PROMPT = "is not supported: prompts are CrewAI's own; say it in the backstory or the description"
_SCHEMA = "is not supported: write the JSON Schema of the answer as output_schema: {...}"
_TOOL_FAILURE = "is not supported: an agent is told what a tool raises; is_fatal ends the step"
_WINDOW = "is not supported: a prompt that is too long for the model fails the step"

AGENT: Mapping[str, str] = {
    "a2a": "is not supported: agents are those of this crew",
    "adapted_agent": "is not supported: agents are CrewAI's own",
    "agent_knowledge_context": _KNOWLEDGE,
    "allow_code_execution": _CODE,
    "allow_delegation": "is not supported: process: hierarchical delegates",
    "apps": _NATIVE,
    "cache": _CACHE,
    "cache_handler": _CACHE,
    "callbacks": _CALLBACK,
    "checkpoint": "is not needed: every step of a flow is committed",
    "code_execution_mode": _CODE,
    "config": "is not needed: write its fields here",
    "crew_knowledge_context": _KNOWLEDGE,
    "date_format": "is not supported: give the date as an input",
    "embedder": _KNOWLEDGE,
    "from_repository": "is not supported: write role, goal and backstory here",
    "function_calling_llm": _MODEL,
    "guardrail": _GUARDRAIL,
    "guardrail_max_retries": _GUARDRAIL_RETRIES,
    "i18n": _PROMPT,
    "inject_date": "is not supported: give the date as an input",
    "knowledge": _KNOWLEDGE,
    "knowledge_config": _KNOWLEDGE,
    "knowledge_search_query": _KNOWLEDGE,
    "knowledge_sources": _KNOWLEDGE,
    "knowledge_storage": _KNOWLEDGE,
    "llm": _MODEL,
    "max_execution_time": "is the task's here: write it there",
    "max_reasoning_attempts": _PLANNING,
    "max_retry_limit": "is not supported: write retries: N in the task",
    "max_tokens": "is not supported: the model's own limit holds",
    "mcps": _NATIVE,
    "memory": _MEMORY,
    "multimodal": "is not supported: files reach an agent by tools that read them",
    "planning": _PLANNING,
    "planning_config": _PLANNING,
    "prompt_template": _PROMPT,
    "reasoning": _PLANNING,
    "respect_context_window": _WINDOW,
    "response_template": _PROMPT,
    "skills": _KNOWLEDGE,
    "step_callback": _CALLBACK,
    "system_template": _PROMPT,
    "tool_failure_policy": _TOOL_FAILURE,
    "use_better_compaction": _WINDOW,
    "use_system_prompt": _PROMPT,
    "verbose": _LOG,
}
TASK: Mapping[str, str] = {
    "allow_crewai_trigger_context": "is not supported: name the input where it is to stand, as {name}",
    "callback": _CALLBACK,
    "callbacks": _CALLBACK,
    "config": "is not needed: write its fields here",
    "converter_cls": _SCHEMA,
    "create_directory": _FILE,
    "guardrail": "is not supported: write guardrails: [...], also for one",
    "guardrail_max_retries": _GUARDRAIL_RETRIES,
    "input_files": "is not supported: a file is an input with format: crewline-input, which a tool opens",
    "markdown": "is not supported: ask for Markdown in expected_output",
    "max_retries": _GUARDRAIL_RETRIES,
    "name": "is not needed: a task's name is its key",
    "output_file": _FILE,
    "output_json": _SCHEMA,
    "output_pydantic": _SCHEMA,
    "response_model": _SCHEMA,
    "tool_failure_policy": _TOOL_FAILURE,
}
CREW: Mapping[str, str] = {
    "after_kickoff_callbacks": _CALLBACK,
    "before_kickoff_callbacks": "is not supported: inputs come as they are to be used",
    "cache": _CACHE,
    "chat_llm": _MODEL,
    "checkpoint": "is not needed: every step of a flow is committed",
    "config": "is not needed: write its fields here",
    "embedder": _KNOWLEDGE,
    "function_calling_llm": _MODEL,
    "knowledge": _KNOWLEDGE,
    "knowledge_sources": _KNOWLEDGE,
    "manager_agent": "is not supported: write manager: with the name of one of the agents",
    "manager_llm": "is not supported: write manager: with the name of one of the agents",
    "max_rpm": "is the agent's here: write it there",
    "memory": _MEMORY,
    "output_log_file": _LOG,
    "planning": _PLANNING,
    "planning_llm": _PLANNING,
    "prompt_file": _PROMPT,
    "share_crew": "is not needed: nothing is sent to CrewAI",
    "skills": _KNOWLEDGE,
    "step_callback": _CALLBACK,
    "stream": "is not needed: events are sent as they happen",
    "task_callback": _CALLBACK,
    "tool_failure_policy": _TOOL_FAILURE,
    "tracing": _LOG,
    "trained_agents_file": _MEMORY,
    "verbose": _LOG,
}
