"""The local gateway speaks Upstash's REST protocol: what these tests ask of it, Upstash documents."""

import asyncio
import base64
import json

import httpx
import pytest
from upstash_redis.asyncio import Redis as UpstashRedis
from upstash_redis.errors import UpstashError

from tests.fixtures_gateway import FLAGGED, answer, sha1


async def test_a_command_is_a_json_array_and_its_reply_a_result(http, key):
    assert await answer(http, "SET", key, "value") == {"result": "OK"}
    assert await answer(http, "GET", key) == {"result": "value"}
    assert await answer(http, "APPEND", key, 12) == {"result": 7}
    assert await answer(http, "MGET", key, "missing") == {"result": ["value12", None]}


async def test_a_number_keeps_the_text_it_was_sent_as(http, key):
    body = f'["RPUSH", "{key}", 1.50, 123456789012345678901234567890, true]'
    await http.post("/", content=body)
    stored = await answer(http, "LRANGE", key, 0, -1)
    assert stored == {"result": ["1.50", "123456789012345678901234567890", "true"]}


async def test_a_path_is_a_command_too(http, key):
    assert (await http.get(f"/set/{key}/bar/EX/100")).json() == {"result": "OK"}
    assert (await http.post(f"/GET/{key}")).json() == {"result": "bar"}
    assert (await http.put(f"/set/{key}/a%2Fb%20c")).json() == {"result": "OK"}
    assert (await http.get(f"/get/{key}")).json() == {"result": "a/b c"}
    assert (await http.head(f"/get/{key}")).content == b""


async def test_a_posted_body_is_the_last_argument_and_the_query_comes_after_it(http, key):
    await http.post(f"/set/{key}?EX=100&NX", content=b'{"a": [1, 2]}')
    assert await answer(http, "GET", key) == {"result": '{"a": [1, 2]}'}
    assert 0 < (await answer(http, "TTL", key))["result"] <= 100
    assert (await http.post(f"/set/{key}?EX=100&NX", content=b"late")).json() == {"result": None}


async def test_a_pipeline_answers_each_command_for_itself(http, key):
    batch = [["SET", key, "text"], ["INCR", key], ["BLPOP", key, 1], ["GET", key]]
    response = await http.post("/pipeline", json=batch)
    ok, not_a_number, refused, value = response.json()
    assert response.status_code == 200
    assert (ok, value) == ({"result": "OK"}, {"result": "text"})
    assert not_a_number["error"].startswith("ERR value is not an integer")
    assert refused == {"error": "ERR Command is not available: 'BLPOP'"}


async def test_a_transaction_runs_all_its_commands_although_one_fails(http, key):
    batch = [["SET", key, "text"], ["INCR", key], ["GET", key]]
    ok, failed, value = (await http.post("/multi-exec", json=batch)).json()
    assert (ok, value) == ({"result": "OK"}, {"result": "text"})
    assert "error" in failed


async def test_a_transaction_with_a_command_that_cannot_be_queued_runs_none(http, key):
    for wrong in (["SET"], ["WATCH", key]):
        response = await http.post("/multi-exec", json=[["SET", key, "1"], wrong])
        assert response.status_code == 400
        assert list(response.json()) == ["error"]
    assert await answer(http, "EXISTS", key) == {"result": 0}


async def test_transactions_of_many_clients_do_not_mix(http, key):
    async def pair():
        return (await http.post("/multi-exec", json=[["INCR", key], ["INCR", key]])).json()

    pairs = await asyncio.gather(*(pair() for _ in range(50)))
    assert all(second["result"] == first["result"] + 1 for first, second in pairs)
    assert await answer(http, "GET", key) == {"result": "100"}


async def test_strings_come_in_base64_except_ok(http, key):
    in_base64 = {"Upstash-Encoding": "base64"}
    assert await answer(http, "SET", key, "bar", **in_base64) == {"result": "OK"}
    assert await answer(http, "GET", key, **in_base64) == {"result": "YmFy"}
    assert await answer(http, "MGET", key, "no", **in_base64) == {"result": ["YmFy", None]}
    assert await answer(http, "STRLEN", key, **in_base64) == {"result": 3}


async def test_binary_values_survive_and_plain_answers_replace_what_is_not_utf8(http, key):
    value = bytes(range(256))
    await http.post(f"/set/{key}", content=value)
    encoded = await answer(http, "GET", key, **{"Upstash-Encoding": "base64"})
    assert base64.b64decode(encoded["result"]) == value
    assert "�" in (await answer(http, "GET", key))["result"]


async def test_unicode_survives_in_keys_and_values(http, key):
    await answer(http, "SET", f"{key}:zürich-東京", "naïve 🚀 \x00 \u2028")
    assert await answer(http, "GET", f"{key}:zürich-東京") == {"result": "naïve 🚀 \x00 \u2028"}


async def test_resp2_is_what_the_server_wrote(http, key):
    async def raw(path, body):
        headers = {"Upstash-Response-Format": "resp2"}
        return await http.post(path, json=body, headers=headers)

    stored = await raw("/", ["SET", key, "OK"])
    assert stored.headers["content-type"] == "application/octet-stream"
    assert stored.content == b"+OK\r\n"
    assert (await raw("/", ["GET", key])).content == b"$2\r\nOK\r\n"
    assert (await raw("/pipeline", [["GET", "no"], ["STRLEN", key]])).content == b"$-1\r\n:2\r\n"
    failed = await raw("/", ["INCR", key])
    assert (failed.status_code, failed.content[:5]) == (400, b"-ERR ")
    assert (await raw("/multi-exec", [["STRLEN", key]])).json() == [{"result": 2}]


@pytest.mark.parametrize(
    "headers",
    [
        {"Upstash-Response-Format": "resp3"},
        {"Upstash-Response-Format": "resp2", "Upstash-Encoding": "base64"},
    ],
)
async def test_formats_that_upstash_does_not_have_are_refused(http, headers):
    assert (await http.post("/", json=["PING"], headers=headers)).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "{}",
        "[]",
        '["GET", null]',
        '["GET", ["k"]]',
        '["GET", NaN]',
        r'["GET", "\ud800"]',
        "[" * 100_000,
        b"\xff",
    ],
)
async def test_a_body_without_a_command_is_400(http, body):
    for path in ("/", "/pipeline", "/multi-exec"):
        response = await http.post(path, content=body)
        assert response.status_code == 400
        assert response.json()["error"].startswith("ERR ")


@pytest.mark.parametrize(
    "command",
    [
        ["BLPOP", "k", "1"],
        ["WATCH", "k"],
        ["subscribe", "c"],
        ["MULTI"],
        ["SELECT", "1"],
        ["XREAD", "BLOCK", "10", "STREAMS", "k", "0"],
    ],
)
async def test_commands_that_upstash_does_not_serve_over_rest_are_refused(http, command):
    response = await http.post("/", json=command)
    assert response.status_code == 400
    assert response.json()["error"].startswith("ERR Command is not available")


async def test_a_stream_may_be_called_block(http):
    assert await answer(http, "XREAD", "STREAMS", "block", "0") == {"result": None}


async def test_a_failing_command_is_400_with_the_servers_words(http):
    response = await http.post("/", json=["GET"])
    assert response.status_code == 400
    assert response.json() == {"error": "ERR wrong number of arguments for 'get' command"}


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer wrong", "Basic token-of-the-tests"]
)
async def test_without_the_token_everything_is_401(gateway, authorization):
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        for path in ("/", "/get/a", "/pipeline", "/subscribe/a", "/get/a?_token=wrong"):
            response = await client.post(path, headers={"Authorization": authorization})
            assert response.status_code == 401
            assert response.json() == {"error": "WRONGPASS invalid or missing auth token"}


async def test_the_token_may_stand_in_the_query(gateway, key):
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        stored = await client.get(f"/set/{key}/v?_token={gateway.token}")
        assert stored.json() == {"result": "OK"}


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_405(http, method):
    assert (await http.request(method, "/get/a")).status_code == 405


async def test_a_request_over_10_mb_is_refused_and_one_just_under_it_is_not(http, key):
    assert (await http.post(f"/set/{key}", content=b"x" * (10 * 1024 * 1024))).status_code == 200

    async def chunks():
        for _ in range(11):
            yield b"x" * 1024 * 1024

    for body in (b"x" * (10 * 1024 * 1024 + 1), chunks()):
        response = await http.post(f"/set/{key}", content=body)
        assert response.status_code == 400
        assert response.json()["error"].startswith("ERR max request size exceeded")
    assert await answer(http, "STRLEN", key) == {"result": 10 * 1024 * 1024}


async def test_the_sdk_of_upstash_works_unmodified(gateway, key):
    async with UpstashRedis(gateway.url, gateway.token, rest_retries=0) as redis:
        assert await redis.set(key, "zürich 🚀", ex=100) is True
        assert await redis.get(key) == "zürich 🚀"
        assert await redis.incr(f"{key}:n") == 1
        assert await redis.hset(f"{key}:h", values={"a": "1", "b": "zwei"}) == 2
        assert await redis.hgetall(f"{key}:h") == {"a": "1", "b": "zwei"}
        assert await redis.xadd(f"{key}:s", "1-0", {"type": "started"}) == "1-0"
        assert await redis.xrange(f"{key}:s") == [["1-0", ["type", "started"]]]
        assert await redis.zadd(f"{key}:z", {"m": 1.5}) == 1
        assert await redis.zrange(f"{key}:z", 0, -1, withscores=True) == [("m", 1.5)]
        assert await redis.eval(FLAGGED, keys=[key], args=["a"]) == [key, "a"]
        assert await redis.evalsha(sha1(FLAGGED), keys=[key], args=["a"]) == [key, "a"]
        for batch, count in ((redis.pipeline(), 1), (redis.multi(), 2)):
            batch.set(f"{key}:m", str(count))
            batch.incr(f"{key}:m")
            assert await batch.exec() == [True, count + 1]
        with pytest.raises(UpstashError, match="WRONGTYPE"):
            await redis.get(f"{key}:h")


async def test_answers_are_json_documents_with_one_member(http):
    response = await http.get("/ping")
    assert response.headers["content-type"] == "application/json"
    assert json.loads(response.content) == {"result": "PONG"}
