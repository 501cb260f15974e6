"""The allow-lists: what crews may name of this deployment, and where it is. Add yours here.

A tool is a plain function `tool(context, **arguments) -> str`; its signature and docstring are what
the model is told. A guardrail is called with an answer (JSON, or text without an output_schema) and
the flow's inputs, and returns what is wrong, in words for the agent, or None. A crew that names
another tool or guardrail is refused. A decider is a module that says what a crew decides, so that
it can learn (docs/learning.md).

Addresses are `module:name`, as in entry points: the function that launches crews holds them against
these lists and loads no tool; a worker loads all.
"""

TOOLS = {
    "profile_csv": "crews.import_mapping.tools:profile_csv",
    "share_insight": "crews.insight:share_insight",
}
GUARDRAILS = {
    "fields_of_the_target": "crews.import_mapping.guardrails:fields_of_the_target",
    "numbers_of_the_notes": "crews.research_brief.guardrails:numbers_of_the_notes",
}
DECIDERS = {
    "column_fields": "crews.import_mapping.column_decisions",
    "form_of_briefs": "crews.research_brief.form_of_briefs",
}
