"""What each function is told at AWS: all settings that its code asks for, and nothing beside those.

A setting that a function comes to need fails here until serverless.yml tells it, and one that it needs no more until
it is taken away.
"""

import dataclasses
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from core.config import Settings
from core.config.variables import variables
from infra.bundles.contents import BUNDLES
from tests.fixtures_aws import RESOLVE, ROOT, SECRETS, STAGE, Template

HOST = {"AWS_LAMBDA_EXEC_WRAPPER"}  # read by Lambda itself
MOST_REFERENCES = 60  # of a template, to secrets: CloudFormation's limit
OF_VERCEL = {"cron_secret"}
FIELDS = {name: field for field, one in variables(Settings) for name in one.names}
REQUIRED = {
    name
    for name, field in FIELDS.items()
    for one in dataclasses.fields(Settings)
    if one.name == field and one.default is one.default_factory is dataclasses.MISSING
} - {"CREWLINE_JWT_KEYS"}
SECRET = {one.name for one in dataclasses.fields(Settings) if not one.repr}
Looks = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def looks(template: Template, secret: dict[str, str]) -> Looks:
    """What tests.settings_read tells of each function with the environment that AWS gives it."""
    of_lambda = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "eu-central-1"}
    environs = {name: one.environ(secret) | of_lambda for name, one in template.functions().items()}
    for environ in environs.values():
        if "CREWLINE_MODEL" in environ:
            environ["CREWLINE_MODEL"] = (
                "openai/gpt-4o-mini"  # of which more is read than of the offline one
            )
    run = subprocess.run(
        [sys.executable, "-m", "tests.settings_read"], cwd=ROOT, input=json.dumps(environs),
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize("function", BUNDLES)
def test_a_function_is_told_all_that_it_needs(function: str, looks: Looks):
    assert looks[function]["failed"] == {}


@pytest.mark.parametrize("function", BUNDLES)
def test_a_function_is_told_what_it_reads_and_nothing_else(
    function: str, looks: Looks, template: Template
):
    functions = template.functions()
    told = functions[function].names.keys() - HOST
    chosen = {name for one in functions.values() for name in one.names} - HOST
    read = {name for name, field in FIELDS.items() if field in looks[function]["read"]}
    assert told == (read & chosen) | REQUIRED


@pytest.mark.parametrize("function", BUNDLES)
def test_a_function_is_told_each_secret_that_it_reads(
    function: str, looks: Looks, template: Template
):
    told = {FIELDS[name] for name in template.functions()[function].names.keys() - HOST}
    assert set(looks[function]["read"]) & SECRET - OF_VERCEL <= told


def test_what_only_schedules_and_queues_call_knows_no_keys_of_tokens(template: Template):
    functions = template.functions()
    without = {name for name, one in functions.items() if "CREWLINE_JWT_KEYS" not in one.names}
    assert without == {"crew_worker", "sweep", "retrain"}
    with_model = {name for name, one in functions.items() if "CREWLINE_MODEL_API_KEY" in one.names}
    assert with_model == {"crew_worker"}


def test_secrets_are_in_no_template_but_by_the_version_of_a_secret(
    template: Template, secret: dict[str, str]
):
    text = json.dumps(template.document)
    found = RESOLVE.findall(text)
    assert {(name, version) for name, _, version in found} == {(f"crewline/{STAGE}", SECRETS)}
    assert {member for _, member, _ in found} == set(secret)
    assert text.count("resolve:") == len(found) <= MOST_REFERENCES
    for function in template.functions().values():
        for name, value in function.names.items():
            if FIELDS.get(name) in SECRET:
                assert RESOLVE.fullmatch(value), (function.name, name)


def test_the_secret_that_is_drawn_passes_every_check_of_the_settings(secret: dict[str, str]):
    drawn = [secret[name] for name in ("jwt_keys", "learning_keys", "webhook_secret")]
    assert len({one.rpartition(":")[2] for one in drawn}) == len(drawn)
    assert all(len(one.rpartition(":")[2]) == 64 for one in drawn)
