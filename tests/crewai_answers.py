"""What a model says to CrewAI's agents in each kind of step, told apart by what they are asked."""

import json

_KINDS = {
    "plan": "leave the work to your workers",
    "result": "Your workers did its subtasks",
    "subtask": "That is your part of a larger task",
    "verdict": "Several agents each proposed an answer to the task below",
}


def asked(prompt: str) -> tuple[str, str]:
    """Return the task that a prompt is about (`TASK-NAME`, in small letters), and the kind of step."""
    current = prompt.rsplit("Current Task: ", maxsplit=1)[-1]
    task = current.partition("TASK-")[2].partition(".")[0].lower()
    kinds = (kind for kind, words in _KINDS.items() if words in current)
    return task, next(kinds, "task")


def answer(prompt: str) -> str:
    """Return an answer that fits the step."""
    task, kind = asked(prompt)
    match kind:
        case "plan":
            order = {
                "worker": "ben",
                "description": f"TASK-{task.upper()}.",
                "expected_output": "t",
            }
            return json.dumps({"subtasks": [order]})
        case "result":
            return json.dumps({"output": f"answer {task}"})
        case "verdict":
            return json.dumps({"choice": 1, "reason": "it is better"})
        case _:
            name = "ana" if "You are Ana" in prompt else "ben"
            return f"answer {task} by {name}"
