"""Children of a local run: started, watched, stopped, and never left behind."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.local.processes import (
    LocalError,
    Processes,
    answers_http,
    free_port,
    is_listening,
    require_free_port,
)

ROOT = Path(__file__).parents[2]


def is_alive(pid):
    """Whether the process still runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for(condition, seconds=5):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def python(code):
    return [sys.executable, "-S", "-c", code]


@pytest.fixture
def processes(tmp_path):
    with Processes(tmp_path) as children:
        yield children


def test_each_whole_line_of_a_child_is_new_once_and_a_new_child_begins_anew(processes):
    assert processes.new_lines("talker") == []
    for words in ("first", "2nd"):
        processes.start("talker", python(f"print('{words}'); print('half', end='', flush=True)"))
        wait_for(lambda: processes.ended("talker"))
        assert processes.new_lines("talker") == [words]
        assert processes.new_lines("talker") == []


def test_what_a_child_prints_is_in_its_log(processes, tmp_path):
    log = tmp_path / "logs" / "talker.log"
    processes.start("talker", python("print('hello', flush=True); input()"))
    with pytest.raises(LocalError):  # input() finds no terminal
        processes.wait_until("talker", lambda: False)
    assert log.read_text().startswith("hello\n")


def test_a_child_that_dies_is_reported_with_its_name_exit_code_and_last_line(processes, tmp_path):
    processes.start("worker", python("import sys; print('no model'); sys.exit(3)"))
    with pytest.raises(LocalError) as raised:
        processes.wait_until("worker", lambda: False)
    log = tmp_path / "logs" / "worker.log"
    assert (
        str(raised.value) == f"worker ended with exit code 3: no model; see {log}, then start again"
    )


def test_a_start_keeps_what_was_in_the_log_and_judges_by_what_is_new(processes, tmp_path):
    log = tmp_path / "logs" / "worker.log"
    processes.start("worker", python("print('ready'); raise SystemExit(3)"))
    wait_for(lambda: processes.ended("worker"))
    assert "ready" in processes.ended("worker")
    processes.start("worker", ["sleep", "60"])
    assert re.fullmatch(r"ready\n--- started again at [0-9: -]+Z\n", log.read_text())
    assert not processes.has_written("worker", "ready")
    processes.stop()
    log.write_bytes(b"x" * 3_000_000)
    processes.start("worker", python("print('no'); raise SystemExit(3)"))
    wait_for(lambda: processes.ended("worker"))
    assert log.stat().st_size < 1_100_000
    assert "code 3: no;" in processes.ended("worker")


def test_waiting_for_a_child_ends_as_soon_as_another_one_dies(processes):
    processes.start("other", python("print('no store'); raise SystemExit(3)"))
    processes.start("slow", ["sleep", "60"])
    with pytest.raises(LocalError, match="other ended with exit code 3: no store"):
        processes.wait_until("slow", lambda: False, 30, meanwhile=processes.check)


async def test_watching_reports_a_child_that_is_killed(processes):
    pid = processes.start("server", ["sleep", "60"])
    processes.check()
    asyncio.get_running_loop().call_later(0.1, os.kill, pid, signal.SIGKILL)
    with pytest.raises(LocalError, match="server ended by SIGKILL: it wrote nothing"):
        await asyncio.wait_for(processes.watch(), 5)


def test_a_dead_child_can_be_started_again_and_a_running_one_cannot(processes):
    pid = processes.start("server", ["sleep", "60"])
    with pytest.raises(LocalError, match="running already"):
        processes.start("server", ["sleep", "60"])
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid))
    assert processes.start("server", ["sleep", "60"]) != pid
    processes.check()


def test_a_command_that_does_not_exist_is_reported(processes):
    processes.start("nothing", ["/no/such/command"])
    with pytest.raises(LocalError, match=r"nothing ended .*No such file"):
        processes.wait_until("nothing", lambda: False)


def test_a_child_that_is_not_ready_in_time_is_reported(processes):
    processes.start("slow", ["sleep", "60"])
    with pytest.raises(LocalError, match=r"slow was not ready after 0\.1 s"):
        processes.wait_until("slow", lambda: False, timeout_seconds=0.1)


def test_a_child_is_waited_for_until_its_port_answers(processes, tmp_path):
    port = free_port()
    serve = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    processes.start("web", serve, folder=tmp_path)
    processes.wait_until("web", lambda: answers_http(port))
    assert is_listening(port)
    processes.stop("web")
    assert not is_listening(port)
    assert not answers_http(port)


def test_stopping_takes_grandchildren_and_the_deaf_within_two_seconds(processes, tmp_path):
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    family = ["sh", "-c", "trap '' TERM; sleep 61 & echo $!; wait; wait"]
    pids = [processes.start("deaf", python(deaf)), processes.start("family", family)]
    log = tmp_path / "logs" / "family.log"
    wait_for(lambda: log.read_text().strip())
    time.sleep(0.1)
    began = time.monotonic()
    processes.stop()
    assert time.monotonic() - began < 2
    wait_for(lambda: not any(map(is_alive, [*pids, int(log.read_text())])))


def test_nothing_outlives_a_parent_that_is_killed(tmp_path):
    parent_code = f"""
from pathlib import Path
import time
from infra.local.processes import Processes
processes = Processes(Path({str(tmp_path)!r}))
print(processes.start("plain", ["sleep", "60"]))
print(processes.start("family", ["sh", "-c", "sleep 61 & echo $!; wait"]), flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", parent_code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        log = tmp_path / "logs" / "family.log"
        wait_for(lambda: log.exists() and log.read_text().strip())
        pids.append(int(log.read_text()))
        assert all(map(is_alive, pids))
        parent.kill()
    wait_for(lambda: not any(map(is_alive, pids)))


def test_a_taken_port_is_reported_in_one_line_and_a_free_one_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(LocalError) as raised:
            require_free_port(port, "PORT=...")
        taken = f"port {port} is taken: stop what uses it, or choose another with PORT=..."
        assert str(raised.value) == taken
    require_free_port(port, "PORT=...")
