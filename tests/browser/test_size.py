"""What a page pays for the client, and what its types say it has."""

import gzip
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from core.blobs import BlobRef
from core.costs.usage import Usage
from core.flows import Flow, Head, Status, Step
from tests.browser.network import PUBLIC
from tests.fixtures_js import with_node

LIMIT_BYTES = 4096
SOURCE = (PUBLIC / "crewline.js").read_text()
TYPES = (PUBLIC / "crewline.d.ts").read_text()
WAITING = {
    "review": "map.review.1",
    "reason": "person",
    "task": "map",
    "step": "map",
    "agent": "Writer",
    "output": None,
    "output_ref": {"bytes": 40_000, "url": "/v1/flows/f1/output?review=map.review.1"},
}
USE = """
import { cancel, follow, launch, resume, upload, type FlowState, type Step, type Usage, type Waiting } from "./crewline.js";

const state: Required<FlowState> = STATE;
const steps: Required<Step>[] = state.steps;
const usage: Required<Usage> = state.usage;
const waiting: Required<Waiting> = WAITING;

const token = async () => "text";
const { id } = await upload({ file: new Blob(["a,b"]), token: "text" });
const { links } = await launch({ crew: "c", inputs: { file: id }, token, onRetry: (error, ms) => { error.message; ms.toFixed(); } });
const following = follow<{ columns: string[] }>({ url: links.self, token, onState: ({ output }) => output?.columns });
if (waiting) await resume({ url: links.self, review: waiting.review, approve: false, feedback: "shorter", token });
(await cancel({ url: links.self, token })).status satisfies FlowState["status"];
export default [steps, usage, await following.done];
"""


def minified(node_modules: Path) -> bytes:
    """Return what a bundler makes of the module."""
    command = [node_modules / ".bin/esbuild", "--minify", "--format=esm", PUBLIC / "crewline.js"]
    return subprocess.run(
        command, env=with_node(os.environ), check=True, capture_output=True
    ).stdout


def compiled(node_modules: Path, folder: Path, state: dict[str, Any]) -> str:
    """Return what TypeScript has against a program that uses the client; "" if nothing."""
    (folder / "crewline.d.ts").write_text(TYPES)
    (folder / "use.ts").write_text(
        USE.replace("STATE", json.dumps(state)).replace("WAITING", json.dumps(WAITING))
    )
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "es2022"]
    more = ["--moduleResolution", "bundler", "--lib", "es2024,dom", folder / "use.ts"]
    command = [node_modules / ".bin/tsc", *options, *more]
    run = subprocess.run(
        command, env=with_node(os.environ), check=False, capture_output=True, text=True
    )
    return run.stdout + run.stderr


def full_state() -> dict[str, Any]:
    """Return a state as the API answers it, with every field that there is."""
    step = Step("map", "Map the columns", "Writer", started_ms=1, finished_ms=2, error="no answer")
    flow = Flow(
        id="f1",
        head=Head("0a1b2c3d", 7, 3, Status.WAITING),
        crew="import_mapping",
        created_ms=1,
        updated_ms=2,
        definition={},
        inputs={},
        definition_digest="d1",
        waiting=WAITING,
        steps=(step,),
        usage=Usage(calls=1),
        output=BlobRef("flows/f1/0a1b2c3d/output", 50_000),
        error="none",
        starting_ms=1,
    )
    return flow.public()


def test_the_client_is_one_module_of_at_most_four_kilobytes(node_modules: Path):
    size = len(gzip.compress(minified(node_modules), 9, mtime=0))
    print(f"crewline.js: {len(SOURCE)} bytes, {size} minified and gzipped")
    assert size <= LIMIT_BYTES
    assert not re.search(r"^\s*import\b|\bimport\(|\brequire\(", SOURCE, re.MULTILINE)


def test_the_types_name_what_the_module_exports():
    exported = re.compile(r"^export (?:async )?function (\w+)", re.MULTILINE)
    assert sorted(exported.findall(SOURCE)) == sorted(exported.findall(TYPES))


def test_a_typescript_program_compiles_against_a_state_as_the_api_answers_it(
    node_modules: Path, tmp_path: Path
):
    assert compiled(node_modules, tmp_path, full_state()) == ""


def test_the_types_know_no_field_too_few(node_modules: Path, tmp_path: Path):
    state = full_state()
    state["steps"][0]["novel"] = 1
    assert "novel" in compiled(node_modules, tmp_path, state)
