"""Scripts at the local gateway: found by their sha, run with a flag that only Upstash knows."""

import httpx

from tests.fixtures_gateway import FLAGGED, answer, sha1


async def test_the_key_locking_flag_is_taken_out_of_scripts(http, key):
    assert await answer(http, "EVAL", FLAGGED, 1, key, "a") == {"result": [key, "a"]}
    assert await answer(http, "EVAL_RO", FLAGGED, 1, key, "a") == {"result": [key, "a"]}
    by_sha = await answer(http, "EVALSHA_RO", sha1(FLAGGED), 1, key, "a")
    assert by_sha == {"result": [key, "a"]}
    plain = "return 1"
    assert await answer(http, "EVAL", plain, 0) == {"result": 1}
    assert await answer(http, "EVALSHA", sha1(plain), 0) == {"result": 1}


async def test_a_script_is_found_by_the_sha1_of_the_text_its_client_has(http, key):
    script = f"{FLAGGED} -- {key}"
    unknown = await answer(http, "EVALSHA", sha1(script), 1, key, "a")
    assert unknown["error"].startswith("NOSCRIPT")
    loaded = await answer(http, "SCRIPT", "LOAD", script)
    for sha in (sha1(script), sha1(script).upper(), loaded["result"]):
        assert await answer(http, "EVALSHA", sha, 1, key, "a") == {"result": [key, "a"]}
    exists = await answer(http, "SCRIPT", "EXISTS", sha1(script), "0" * 40)
    assert exists == {"result": [1, 0]}


async def test_a_flagged_script_also_runs_in_a_pipeline_and_a_transaction(http, key):
    batch = [["EVAL", FLAGGED, 1, key, "a"], ["EVALSHA", sha1(FLAGGED), 1, key, "b"]]
    expected = [{"result": [key, "a"]}, {"result": [key, "b"]}]
    assert (await http.post("/pipeline", json=batch)).json() == expected
    assert (await http.post("/multi-exec", json=batch)).json() == expected


async def test_on_a_cluster_keys_of_two_tags_are_refused_declared_or_not(cluster_gateway):
    headers = {"Authorization": f"Bearer {cluster_gateway.token}"}
    async with httpx.AsyncClient(base_url=cluster_gateway.url, headers=headers) as http:
        assert await answer(http, "MSET", "{a}1", "x", "{a}2", "y") == {"result": "OK"}
        crossed = await answer(http, "MSET", "{a}1", "x", "{b}1", "y")
        assert crossed["error"].startswith("CROSSSLOT")
        undeclared = "#!lua flags=allow-key-locking\nreturn redis.call('GET', '{b}1')"
        assert "same slot" in (await answer(http, "EVAL", undeclared, 1, "{a}1"))["error"]
