"""`make demo` and `make dev` as a person runs them: real processes, real CrewAI, the offline model."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

from infra.local import host
from infra.local.processes import LocalError, Processes, answers_http, free_port

EXAMPLES = Path("crews/import_mapping/examples")
SECRET = "a-secret-of-the-tests-0123456789-abcdef"
ADDRESSES = "住所ID,都道府県,市区町村,番地,緯度,経度\n" + "".join(
    f"{i},東京都,千代田区,{i + 1}番地,35.68{i},139.76{i}\n" for i in range(20)
)


def environ(tmp_path: Path, port: int) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "CREWLINE_DATA": str(tmp_path / "data"), "CREWLINE_PORT": str(port)}


def demo(tmp_path: Path, csv: Path | str, port: int | None = None):
    return subprocess.run(
        [sys.executable, "-m", "infra.local.demo", str(csv)],
        env=environ(tmp_path, port or free_port()),
        capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip


def left_running(tmp_path: Path) -> str:
    """Processes that still name this test's data folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return "\n".join(line for line in listed.stdout.splitlines() if str(tmp_path) in line)


def kill_s3(parent: int) -> None:
    """Kill the S3 that a host has started, as soon as it has."""
    while not (pid := child(parent, "infra.local.s3")):
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)


def child(parent: int, module: str) -> int | None:
    command = ["ps", "--ppid", str(parent), "-o", "pid=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    lines = (line.split() for line in listed.splitlines())
    return next((int(pid) for pid, *arguments in lines if module in arguments), None)


@pytest.mark.parametrize("name", ["us_ca_berkeley.csv", "is_stadfang.dsv"])
def test_the_demo_maps_a_real_file_and_says_how_right_it_is(tmp_path: Path, name: str):
    run = demo(tmp_path, EXAMPLES / name)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"precision \d\.\d\d, recall \d\.\d\d, F1 \d\.\d\d", run.stdout)
    assert "offline model" in run.stdout
    assert "demonstration price" in " ".join(run.stdout.split())
    assert re.search(r"/v1/flows/fl_[0-9a-f]{32}/events", run.stdout)
    assert left_running(tmp_path) == ""


@pytest.mark.parametrize("encoding", ["utf-8", "shift-jis"])
def test_the_demo_maps_a_file_nobody_has_seen_in_its_own_encoding(tmp_path: Path, encoding: str):
    csv = tmp_path / "addresses.csv"
    csv.write_bytes(ADDRESSES.encode(encoding))
    run = demo(tmp_path, csv)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"緯度\s*│ lat", run.stdout)
    assert re.search(r"経度\s*│ lon", run.stdout)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02\xff" * 500, b"no columns here"])
def test_a_file_that_is_no_csv_is_told_in_a_line(tmp_path: Path, content: bytes):
    csv = tmp_path / "bad.csv"
    csv.write_bytes(content)
    run = demo(tmp_path, csv)
    assert run.returncode == 1
    assert "Traceback" not in run.stdout + run.stderr
    assert re.fullmatch(r"crewline: .+\n", run.stderr), run.stderr
    assert left_running(tmp_path) == ""


def test_a_missing_file_and_a_taken_port_are_told_before_anything_starts(tmp_path: Path):
    run = demo(tmp_path, "nowhere.csv")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "crewline: no such file: nowhere.csv; give one with make demo CSV=path\n"
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", "-b", "127.0.0.1", port_text := str(free_port())]
    ) as other:
        while not answers_http(int(port_text)):
            time.sleep(0.05)
        run = demo(tmp_path, EXAMPLES / "nl_bag.csv", int(port_text))
        other.terminate()
    assert run.returncode == 1
    assert f"port {port_text} is taken" in run.stderr


def test_a_child_that_dies_ends_the_demo_with_a_line_that_names_it(tmp_path: Path):
    command = [sys.executable, "-m", "infra.local.demo"]
    with subprocess.Popen(
        command, env=environ(tmp_path, free_port()), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        kill_s3(process.pid)
        assert process.wait(20) == 1
        assert process.stderr is not None
        assert process.stderr.read().startswith("crewline: s3 ended by SIGKILL")
    assert left_running(tmp_path) == ""


@pytest.mark.parametrize(
    "command", ["infra.local.dev", "infra.local.demo", "infra.container.serve"]
)
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("CREWLINE_LEASE_SECONDS", "ten"),
        ("CREWLINE_MODEL_BASE_URL", "localhost:1"),
        ("CREWLINE_WEBHOOK_HOSTS", "acme=hooks.example.com:9999999"),
    ],
)
def test_a_wrong_setting_is_told_before_anything_starts(
    tmp_path: Path, command: str, setting: str, value: str
):
    began = time.monotonic()
    secrets = {"CREWLINE_WEBHOOK_SECRET": SECRET, "CREWLINE_JWT_KEYS": f"k:{SECRET}"}
    cloud = {
        "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:9",
        "UPSTASH_REDIS_REST_TOKEN": "t",
        "CREWLINE_BUCKET": "b",
    }
    run = subprocess.run(
        [sys.executable, "-m", command],
        env=environ(tmp_path, free_port()) | secrets | cloud | {setting: value},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (1, "")
    assert re.fullmatch(rf"crewline: {setting}.+\n", run.stderr), run.stderr
    assert not (tmp_path / "data").exists()
    assert time.monotonic() - began < 20


def test_an_api_that_is_started_with_a_wrong_setting_ends_and_names_it(tmp_path: Path):
    wrong = environ(tmp_path, 0) | {"CREWLINE_LEASE_SECONDS": "ten"}
    with Processes(tmp_path) as processes, pytest.raises(LocalError) as told:
        host.start_functions(processes, free_port(), wrong, but=(host.WORKER,))
    assert "api ended with exit code 1" in str(told.value)
    assert "UPSTASH_REDIS_REST_URL is not set" in str(told.value)


def test_a_worker_that_cannot_start_names_the_entry_of_the_allow_list(tmp_path: Path):
    """As in a copy of the repository in which somebody mistyped the address of a tool."""
    copy = tmp_path / "copy"
    for folder in ("core", "crews", "functions"):
        shutil.copytree(folder, copy / folder)
    listed = copy / "crews" / "allow_list.py"
    listed.write_text(
        listed.read_text().replace("crews.insight:share_insight", "crews.insight:shareinsight")
    )
    cloud = {
        "UPSTASH_REDIS_REST_URL": "http://127.0.0.1:9",
        "UPSTASH_REDIS_REST_TOKEN": "t",
        "CREWLINE_BUCKET": "b",
        "CREWLINE_JWT_KEYS": f"k:{SECRET}",
        "CREWLINE_MODEL": "offline",
    }
    with Processes(tmp_path) as processes:
        command = [sys.executable, "-m", "functions.crew_worker"]
        started = environ(tmp_path, 0) | cloud
        processes.start(host.WORKER, command, environ=started, folder=copy)
        while (how := processes.ended(host.WORKER)) is None:
            time.sleep(0.05)
    assert "crews/allow_list.py: share_insight: crews.insight:shareinsight cannot be loaded" in how


@contextmanager
def dev(tmp_path: Path, port: int, code: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "infra.local.dev"],
        env=environ(tmp_path, port), text=True, cwd=code,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def welcomed(process: subprocess.Popen[str]) -> dict[str, str]:
    """Read the welcome; return the header of its token."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    token = next(line.split()[1] for line in lines if "token" in line)
    return {"authorization": f"Bearer {token}"}


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


def test_what_stops_a_worker_from_starting_is_told_with_its_place(tmp_path: Path):
    log = tmp_path / "logs" / "worker.log"
    wrong = tmp_path / "half_typed.py"
    wrong.write_text("x = 1\ndef tool(\n")
    with Processes(tmp_path) as processes:
        processes.start("worker", [sys.executable, str(wrong)])
        while (how := processes.ended("worker")) is None:
            time.sleep(0.02)
    assert "half_typed.py:2 SyntaxError" in how
    assert str(log) in how


def until(stream: IO[str] | None, words: str) -> str:
    """Read lines up to the one that has these words, and return it."""
    assert stream is not None
    return next(line for line in iter(stream.readline, "") if words in line)
