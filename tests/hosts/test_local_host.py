"""`make demo` as a person runs it, and what keeps a server from starting, as each of them tells it."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.local import host
from infra.local.processes import LocalError, Processes, answers_http, free_port
from tests.hosts.local_parts import EXAMPLES, demo, environ, kill_s3, left_running

SECRET = "a-secret-of-the-tests-0123456789-abcdef"
ADDRESSES = "住所ID,都道府県,市区町村,番地,緯度,経度\n" + "".join(
    f"{i},東京都,千代田区,{i + 1}番地,35.68{i},139.76{i}\n" for i in range(20)
)


@pytest.mark.parametrize("name", ["us_ca_berkeley.csv", "is_stadfang.dsv"])
def test_the_demo_maps_a_real_file_and_says_how_right_it_is(tmp_path: Path, name: str):
    run = demo(tmp_path, EXAMPLES / name)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"precision \d\.\d\d, recall \d\.\d\d, F1 \d\.\d\d", run.stdout)
    assert "offline model" in run.stdout
    assert "demonstration price" in " ".join(run.stdout.split())
    said = " ".join(run.stdout.split())
    assert re.search(r"budget import_mapping: \$0\.\d+ of \$1 are spent today", said)
    assert re.search(r"/v1/flows/fl_[0-9a-f]{32}/events", run.stdout)
    assert left_running(tmp_path) == ""


def test_the_demo_shows_what_corrections_change_and_which_lesson_did(tmp_path: Path):
    run = demo(tmp_path, "")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 corrections of the first one, by the API: F1 0.86 -> 1.00" in run.stdout
    assert re.search(r"BOKST\s+│ -\s+│ unit\s+│ unit", run.stdout)
    assert re.search(r"SERHEITI\s+│ city\s+│ -\s+│ -", run.stdout)
    assert len(re.findall(r"│ lesson", run.stdout)) == 2
    again = demo(tmp_path, "")
    assert "in an earlier run" in again.stdout


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
