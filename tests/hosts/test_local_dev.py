"""`make dev` as a person runs it: real processes, real CrewAI, the offline model."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from infra.local.processes import answers_http, free_port
from tests.hosts.local_parts import (
    EXAMPLES,
    demo,
    dev,
    environ,
    kill_s3,
    left_running,
    until,
    welcomed,
)


def test_the_dev_server_stops_within_two_seconds_with_a_stream_open(tmp_path: Path):
    port = free_port()
    with dev(tmp_path, port) as process:
        headers = welcomed(process)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
            body = {"crew": "research_brief", "inputs": {"question": "q", "notes": "n"}}
            flow = http.post("/v1/flows", json=body).json()["id"]
            with http.stream("GET", f"/v1/flows/{flow}/events") as stream:
                assert next(stream.iter_text())
                began = time.monotonic()
                process.send_signal(signal.SIGINT)
                assert process.wait(10) == 0
                assert time.monotonic() - began < 2
    assert left_running(tmp_path) == ""


def test_flows_survive_a_restart_of_the_dev_server(tmp_path: Path):
    port = free_port()
    with dev(tmp_path, port) as process:
        headers = welcomed(process)
        url = f"http://127.0.0.1:{port}/v1/flows"
        body = {"crew": "research_brief", "inputs": {"question": "q", "notes": "n"}}
        flow = httpx.post(url, json=body, headers=headers).json()["id"]
        process.send_signal(signal.SIGINT)
        process.wait(10)
    with dev(tmp_path, port) as process:
        welcomed(process)
        assert httpx.get(f"{url}/{flow}", headers=headers).json()["id"] == flow


def test_a_dead_child_ends_the_dev_server_with_a_line_that_names_it(tmp_path: Path):
    port = free_port()
    with dev(tmp_path, port) as process:
        welcomed(process)
        kill_s3(process.pid)
        assert process.wait(10) == 1
        assert process.stderr is not None
        assert process.stderr.read().startswith("crewline: s3 ended by SIGKILL")
    assert left_running(tmp_path) == ""


def test_code_that_changes_is_loaded_again(tmp_path: Path):
    port = free_port()
    for name in ("core", "crews", "functions", "infra", "public"):
        shutil.copytree(name, tmp_path / "code" / name)
    touched = tmp_path / "code" / "functions" / "sweep.py"
    with dev(tmp_path, port, tmp_path / "code") as process:
        welcomed(process)
        time.sleep(1)
        touched.touch()
        assert until(process.stdout, "reloaded")
        assert answers_http(port)


def test_a_second_server_on_the_same_data_is_told_who_has_it(tmp_path: Path):
    port = free_port()
    with dev(tmp_path, port) as process:
        welcomed(process)
        other = demo(tmp_path, EXAMPLES / "nl_bag.csv")
        assert other.returncode == 1
        assert (
            f"is in use by make dev on port {port}: stop it, or set CREWLINE_DATA" in other.stderr
        )
        assert answers_http(port)
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert demo(tmp_path, "nowhere.csv").stderr.startswith("crewline: no such file")


def test_a_worker_that_is_killed_is_started_again_and_the_flow_goes_on(tmp_path: Path):
    port = free_port()
    with dev(tmp_path, port) as process:
        headers = welcomed(process)
        pid = until(process.stdout, "the worker is ready").split()[-1]
        os.kill(int(pid), signal.SIGKILL)
        body = {"crew": "research_brief", "inputs": {"question": "When?", "notes": "At noon."}}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
            flow = http.post("/v1/flows", json=body).json()["id"]
            assert until(process.stderr, "worker ended by SIGKILL; ")
            assert until(process.stdout, "the worker is ready").split()[-1] != pid
            left = until(process.stdout, "left the flow")
            assert re.match(rf"worker \d\d:\d\d:\d\d INFO    {flow} left the flow", left)
            assert http.get(f"/v1/flows/{flow}").json()["status"] == "succeeded"
            log = (tmp_path / "data" / "logs" / "worker.log").read_text()
            assert log.count("worker ready") == 2  # the message named it, so it must be there


def test_the_readme_s_python_maps_a_file_on_the_dev_server(tmp_path: Path):
    readme, port = Path("README.md").read_text("utf-8"), free_port()
    program = readme.partition("```python\n")[2].partition("```")[0]
    assert ":8787" in program
    with dev(tmp_path, port) as process:
        token = welcomed(process)["authorization"].removeprefix("Bearer ")
        ran = subprocess.run(
            [sys.executable, "-c", program.replace(":8787", f":{port}")],
            env=environ(tmp_path, port) | {"TOKEN": token},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "RUN_FINISHED" in ran.stdout
    assert "'columns'" in ran.stdout.splitlines()[-1]


def test_a_failed_flow_is_driven_again_from_another_terminal(tmp_path: Path):
    port = free_port()
    redrive = [sys.executable, "-m", "infra.redrive", "--tenant", "demo", "--flow"]

    def driven(flow: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*redrive, flow],
            env=environ(tmp_path, port),
            capture_output=True,
            text=True,
            check=False,
        )

    assert "no make dev runs on" in driven("fl_x").stderr
    with dev(tmp_path, port) as process:
        headers = welcomed(process)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
            body = {"crew": "research_brief", "inputs": {"question": "q", "notes": "n"}}
            flow = http.post("/v1/flows", json=body).json()["id"]
            http.post(f"/v1/flows/{flow}/cancel")
            again = driven(flow)
            assert again.returncode == 0, again.stderr
            assert http.get(f"/v1/flows/{again.stdout.strip()}").status_code == 200
        process.send_signal(signal.SIGINT)
        process.wait(10)
    assert not (tmp_path / "data" / "running.json").exists()


def test_a_model_without_its_key_is_told_at_the_start_and_by_each_flow_with_the_variable(
    tmp_path: Path,
):
    port, lacks = free_port(), "openai/gpt-4o-mini needs OPENAI_API_KEY or CREWLINE_MODEL_API_KEY"
    with dev(tmp_path, port, CREWLINE_MODEL="openai/gpt-4o-mini") as process:
        headers = welcomed(process)
        assert lacks in until(process.stdout, "no step can run")
        assert "but no step can run" in until(process.stdout, "the worker is ready")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
            body = {"crew": "research_brief", "inputs": {"question": "q", "notes": "n"}}
            flow = http.post("/v1/flows", json=body).json()["id"]
            assert until(process.stdout, "left the flow")
            assert lacks in http.get(f"/v1/flows/{flow}").json()["error"]
