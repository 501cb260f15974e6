"""Crewline's client for browsers under Node: a launch is sent again, a program's mistake is not."""

import json

from tests.browser.network import PUBLIC
from tests.fixtures_js import NodeRun


def test_a_launch_under_node_is_sent_again_and_a_mistake_rejects_at_once(run_node: NodeRun):
    ran = run_node("launch.mjs", str(PUBLIC / "crewline.js"))
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    launched = found["launched"]
    assert launched["value"] == {"id": "fl_1"}
    assert len(launched["waits"]) == 3
    assert all(isinstance(wait, int) for wait in launched["waits"])
    assert len(found["keys"]) == 4
    assert len(set(found["keys"])) == 1
    assert {name: ended["waits"] for name, ended in found["mistakes"].items()} == {
        "no whole address": [],
        "a name that does not exist": [],
        "a number out of range": [],
    }
    assert [ended["name"] for ended in found["mistakes"].values()] == [
        "TypeError",
        "ReferenceError",
        "RangeError",
    ]


def test_a_program_that_only_launches_lives_until_it_has_launched(run_node: NodeRun):
    ran = run_node("launch_alone.mjs", str(PUBLIC / "crewline.js"))
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"id": "fl_1"}
