"""F8 and F9 over random histories, with the real exchange on a clock that the test sets."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.engines.support import Lua

SCRIPTS = 300
BAD: list[dict[str, Any]] = [
    {"reason": "server_error", "status": 500, "body": '{"error":{"code":"model_error"}}'},
    {"reason": "server_error", "status": 503, "headers": {"retry-after": "30"}},
    {"reason": "server_error", "status": 408},
    {"reason": "forbidden", "status": 403},
    {"reason": "credential", "status": 401},
    {"reason": "reset"},
    {"reason": "timeout"},
]

MISSING: dict[str, Any] = {"reason": "not_deployed", "status": 404}

# A failure that none of these is like.
ELSEWHERE: dict[str, Any] = {"reason": "redirect", "status": 307}

# Runs a list of steps { at, client, operation, body, outcomes (by backend) } through the exchange. No backend
# is asked: the outcomes of a step are given. Returns of each step the status, the trail, and how often a
# whole backend has begun to rest by then.
HARNESS = """
local PREFIX = "apisix.plugins.azure-openai."
local REAL = { now = ngx.now, shared = ngx.shared, on_abort = ngx.on_abort }
local clock = 1000000
ngx.now = function() return clock end
ngx.on_abort = function() end

local function dictionary()
    local memory, dict = {}, {}
    local function live(key)
        local entry = memory[key]
        if entry and entry.ends and entry.ends <= clock then memory[key] = nil return nil end
        return entry
    end
    function dict:get(key) local entry = live(key) if entry then return entry.value, entry.flags end end
    function dict:set(key, value, seconds, flags)
        local ends = seconds and seconds > 0 and clock + seconds or nil
        memory[key] = { value = value, flags = flags, ends = ends }
        return true
    end
    function dict:add(key, ...) if live(key) then return false, "exists" end return self:set(key, ...) end
    function dict:delete(key) memory[key] = nil end
    function dict:incr(key, by, init, seconds)
        local entry = live(key)
        if entry then entry.value = entry.value + by return entry.value end
        if not init then return nil, "not found" end
        self:set(key, init + by, seconds)
        return init + by
    end
    function dict:ttl(key) local entry = live(key) return entry and entry.ends and entry.ends - clock or 0 end
    return dict
end
ngx.shared = setmetatable({}, { __index = function(shared, name)
    local dict = dictionary()
    rawset(shared, name, dict)
    return dict
end })

local step
local stubs = {
    ["answer.asking"] = { ask = function(_, attempt)
        local outcome = {}
        for name, value in pairs(step.outcomes[attempt.backend.name]) do outcome[name] = value end
        if not outcome.reason then
            outcome.answer = { status = 200, headers = outcome.headers or {}, body = "{}" }
        end
        outcome.status = outcome.status or (outcome.answer and 200) or nil
        return outcome
    end },
    ["answer.own_items"] = { only = function(_, _, answer) return answer end },
    ["routing.ownership"] = { plan = function(_, request)
        return { deployment = "gpt-4o", resource = "/", operation = request.operation, references = {},
            size = step.size or 0, client = step.client, caller = step.client }
    end },
    ["routing.resource_lessons"] = { learn = function() end },
    ["routing.regions"] = { of = function() end, learn = function() end },
}
-- All modules are loaded anew, so that they see the clock and the dictionaries of the test.
local function unload()
    local names, unloaded = {}, {}
    for name in pairs(package.loaded) do
        if name:sub(1, #PREFIX) == PREFIX then names[#names + 1] = name end
    end
    for _, name in ipairs(names) do
        unloaded[name], package.loaded[name] = package.loaded[name], nil
    end
    return unloaded
end
local before = unload()
-- Each is read and compiled once, which takes longer than a history.
local chunks = package.loaded["tests.compiled"] or {}
package.loaded["tests.compiled"] = chunks
local function compiled(name)
    if name:sub(1, #PREFIX) ~= PREFIX then return nil end
    chunks[name] = chunks[name] or assert(loadfile(assert(package.searchpath(name, package.path))))
    return chunks[name]
end
table.insert(package.loaders, 1, compiled)
for name, stub in pairs(stubs) do package.loaded[PREFIX .. name] = stub end

local function run()
    local exchange = require(PREFIX .. "exchange")
    local body_module = require(PREFIX .. "request.body")
    local backends = {}
    for index, name in ipairs(names) do
        backends[index] = { name = name, fingerprint = "f", weight = 1, priority = #names - index,
            credential_variable = "KEY" }
    end
    local groups = {}
    for index, backend in ipairs(backends) do groups[index] = { backend, priority = backend.priority } end
    local pool = { name = "", backends = backends, by_name = {}, groups = groups, drained = {}, balancer = {},
        fallbacks = {},
        failover = { breaker_failures = failures, breaker_open_seconds = 10, breaker_max_open_seconds = 60,
            breaker_override_concurrency = 16, read_timeout_ms = 600000, connect_timeout_ms = 5000,
            retry_within_ms = 60000, max_wait_ms = 0, cooldown_default_seconds = 10,
            cooldown_max_seconds = 120 } }
    local results, whole = {}, 0
    require(PREFIX .. "routing.rests").watch(function(_, deployment)
        whole = whole + (deployment and 0 or 1)
    end)
    for index, current in ipairs(steps) do
        step = current
        clock = 1000000 + step.at
        local state = { pool = pool, trail = {}, client = { name = step.client }, request = { method = "POST",
            kind = "v1", operation = step.operation, target = "/openai/v1/" .. step.operation, headers = {},
            deployment = "gpt-4o", body = body_module.of_text(step.body) } }
        local answer = exchange.run({}, state)
        local trail = {}
        for at, entry in ipairs(state.trail) do trail[at] = entry.backend end
        results[index] = { answer.status, table.concat(trail, ","), whole }
    end
    return results
end
local ok, results = pcall(run)
table.remove(package.loaders, 1)
unload()
for name, module in pairs(before) do package.loaded[name] = module end
ngx.now, ngx.shared, ngx.on_abort = REAL.now, REAL.shared, REAL.on_abort
if not ok then error(results) end
return require("cjson").encode(results)
"""


def run(lua: Lua, names: list[str], steps: list[dict[str, Any]], failures: int = 3) -> list[tuple[int, str]]:
    """Status and trail of each step, on a gateway whose breakers open after so many failures."""
    return [(status, trail) for status, trail, _ in run_and_watch(lua, names, steps, failures)]


def run_and_watch(
    lua: Lua, names: list[str], steps: list[dict[str, Any]], failures: int = 3
) -> list[tuple[int, str, int]]:
    """The same, and how often a whole backend has begun to rest by then."""
    (text,) = lua(HARNESS, names=names, steps=steps, failures=failures)
    return [(status, trail, whole) for status, trail, whole in json.loads(text)]


def step(
    at: float, client: str, outcomes: dict[str, Any], *, body: str = "", operation: str = "", size: int = 0
) -> dict[str, Any]:
    return {
        "size": size,
        "at": at,
        "client": client,
        "operation": operation or "chat/completions",
        "body": body,
        "outcomes": outcomes,
    }


def some_names(script: random.Random) -> list[str]:
    return ["eastus", "westus", "swedencentral"][: script.randint(1, 3)]


@pytest.mark.parametrize("seed", range(3))
def test_f8_no_history_of_others_takes_an_answer_from_a_client(lua: Lua, seed: int) -> None:
    script = random.Random(seed)
    for number in range(SCRIPTS // 3):
        names = some_names(script)
        serving = script.choice(names)
        steps, at = [], 0.0
        for index in range(script.randint(2, 25)):
            at += script.choice([0, 0.1, 1, 4, 11, 70])
            if script.random() < 0.3:
                outcomes = {name: {} if name == serving else script.choice([{}, *BAD]) for name in names}
                steps.append(step(at, "good", outcomes, body=str(index)))
            else:
                shared = script.choice([*BAD, MISSING, MISSING])
                outcomes = {name: script.choice([shared, shared, shared, *BAD, MISSING]) for name in names}
                client = script.choice(["bad", "worse"])
                operation = script.choice(["chat/completions", "chat/completions", "embeddings", "nosuch/x"])
                steps.append(step(at, client, outcomes, body=str(script.randint(0, 3)), operation=operation))
        results = run(lua, names, steps, script.choice([1, 3]))
        good = [result for result, one in zip(results, steps, strict=True) if one["client"] == "good"]
        assert {status for status, _ in good} <= {200}, f"seed {seed}, script {number}: {steps} {results}"


def random_refusals(script: random.Random, names: list[str], client: str, at: float) -> dict[str, Any]:
    """A request that all backends fail in the same way. Chats never find a credential refused."""
    operation = script.choice(["chat/completions", "embeddings", "nosuch/x"])
    shared = script.choice(
        [bad for bad in BAD if bad["reason"] != "credential" or operation != "chat/completions"]
    )
    body = str(script.randint(0, 9))
    return step(at, client, dict.fromkeys(names, shared), body=body, operation=operation)


@pytest.mark.parametrize("seed", range(3))
def test_f8_what_all_backends_refuse_to_one_client_changes_nothing_for_another(lua: Lua, seed: int) -> None:
    script = random.Random(seed)
    for number in range(SCRIPTS // 3):
        names = some_names(script)
        well: dict[str, Any] = {name: {} for name in names}
        # All backends have served, and go on to serve one after the other.
        steps = [
            step(0, "good", {name: well[name] if name == only else ELSEWHERE for name in names}, body=only)
            for only in names
        ]
        for index in range(script.randint(2, 25)):
            at = 1 + index * script.choice([0.1, 0.3])
            is_good = script.random() < 0.4
            one = step(at, "good", well, body=f"good {index}")
            steps.append(one if is_good else random_refusals(script, names, "bad", at))
        steps.append(step(9, "good", well, body="last"))
        steps.sort(key=lambda one: one["at"])
        alone = [one for one in steps if one["client"] == "good"]
        together = [
            result
            for result, one in zip(run_and_watch(lua, names, steps), steps, strict=True)
            if one["client"] == "good"
        ]
        assert together == run_and_watch(lua, names, alone), f"seed {seed}, script {number}: {steps}"


def refusal(script: random.Random) -> dict[str, Any]:
    """A 429 that says how long, and sometimes what is left and what the limit is."""
    headers = {"retry-after": str(script.choice([1, 5, 20]))}
    if script.random() < 0.7:
        headers["x-ratelimit-remaining-tokens"] = str(script.choice([0, 10, 900, 5000]))
    if script.random() < 0.3:
        headers["x-ratelimit-limit-tokens"] = str(script.choice([1000, 6000]))
    if script.random() < 0.2:
        headers["x-ratelimit-remaining-requests"] = "0"
    return {"reason": "throttled", "status": 429, "headers": headers}


@pytest.mark.parametrize("seed", range(3))
def test_f2_a_cooldown_is_honoured_by_all_requests_that_it_concerns(lua: Lua, seed: int) -> None:
    script = random.Random(seed)
    asked_below = 0
    for number in range(SCRIPTS // 3):
        steps, at = [], 0.0
        for index in range(script.randint(2, 30)):
            at = round(at + script.choice([0, 0.1, 0.4, 3]), 1)
            headers = {"x-ratelimit-remaining-tokens": str(script.choice([0, 50, 4000]))}
            outcome = script.choice([refusal(script), {}, {"headers": headers}, BAD[0]])
            client, size = script.choice(["good", "bad"]), script.choice([10, 500, 2000, 8000])
            steps.append(step(at, client, {"eastus": outcome}, body=str(index), size=size))
        results = run(lua, ["eastus"], steps)
        # Of each refusal until when it holds, and from which size.
        refusals: list[tuple[float, int]] = []
        for one, (status, trail) in zip(steps, results, strict=True):
            at, outcome = one["at"], one["outcomes"]["eastus"]
            live = [(ends, size) for ends, size in refusals if at < ends]
            if any(one["size"] >= size for _, size in live):
                assert (status, trail) == (429, ""), f"seed {seed}, script {number}: {steps} {results}"
            asked_below += bool(live) and trail != ""
            if trail and outcome.get("reason") == "throttled":
                headers = outcome["headers"]
                is_for_all = headers.get("x-ratelimit-remaining-requests") == "0"
                refusals = [*live, (at + float(headers["retry-after"]), 0 if is_for_all else one["size"])]
    # Smaller requests were asked meanwhile, so the property is not empty.
    assert asked_below > 10


LIMITED = {"x-ratelimit-limit-tokens": "6000", "x-ratelimit-remaining-tokens": "5000"}


def throttled(seconds: int, remaining: int) -> dict[str, Any]:
    headers = LIMITED | {"retry-after": str(seconds), "x-ratelimit-remaining-tokens": str(remaining)}
    return {"reason": "throttled", "status": 429, "headers": headers}


@pytest.mark.parametrize("seed", range(3))
def test_f2_requests_above_the_limit_change_nothing_for_those_that_fit(lua: Lua, seed: int) -> None:
    script = random.Random(seed)
    for number in range(SCRIPTS // 3):
        names = some_names(script)
        steps: list[dict[str, Any]] = []
        for at in range(script.randint(2, 25)):
            if script.random() < 0.5:
                left = {
                    "headers": LIMITED | {"x-ratelimit-remaining-tokens": str(script.choice([0, 50, 5000]))}
                }
                answers = [left, left, throttled(script.choice([1, 3, 20]), script.choice([0, 50, 5000]))]
                outcomes = {name: script.choice(answers) for name in names}
                size = script.choice([10, 500, 2000, 6000])
                steps.append(step(at, "good", outcomes, body=str(at), size=size))
            else:
                bad = dict.fromkeys(names, throttled(60, script.choice([50, 5000])))
                steps.append(step(at, "bad", bad, body=str(at), size=script.choice([6001, 20_000, 10**9])))
        together = [
            result
            for result, one in zip(run(lua, names, steps), steps, strict=True)
            if one["client"] == "good"
        ]
        alone = [one for one in steps if one["client"] == "good"]
        assert together == run(lua, names, alone), f"seed {seed}, script {number}: {steps}"


@pytest.mark.parametrize("seed", range(3))
def test_f8_a_request_that_is_repeated_changes_no_more_than_one_every_10_s(lua: Lua, seed: int) -> None:
    script = random.Random(seed)
    for number in range(SCRIPTS // 3):
        names = some_names(script)
        bad = {name: script.choice([{}, *BAD]) for name in names}
        once, often, at = [], [], 0.0
        for index in range(script.randint(2, 20)):
            at += script.choice([1, 4, 11, 70])
            if script.random() < 0.5:
                outcomes = {name: script.choice([{}, {}, BAD[0]]) for name in names}
                one = step(at, "good", outcomes, body=str(index))
                once.append(one)
                often.append(one)
            else:
                one = step(at, "bad", bad, body="the same")
                once.append(one)
                often += [one] * script.randint(1, 6)
        failures = 3
        statuses = []
        for steps in (once, often):
            results = run(lua, names, steps, failures)
            statuses.append(
                [result for result, one in zip(results, steps, strict=True) if one["client"] == "good"]
            )
        assert statuses[0] == statuses[1], f"seed {seed}, script {number}: {often}"


@pytest.mark.parametrize("seed", range(3))
def test_f8_a_backend_that_fails_for_everybody_is_left_alone_and_found_again(lua: Lua, seed: int) -> None:
    script = random.Random(seed)
    for number in range(SCRIPTS // 3):
        fault = script.choice([one for one in BAD if one["reason"] in ("server_error", "reset", "timeout")])
        well: dict[str, Any] = {"eastus": {}, "westus": {}}
        down = well | {"eastus": fault}
        clients = ["good", "other"]
        before = [step(0, "good", well, body="before")] * script.randint(0, 2)
        outage = [step(1, script.choice(clients), down, body=str(index)) for index in range(6)]
        after = [step(40, "good", well, body="after"), step(40, "good", well, body="later")]
        results = run(lua, ["eastus", "westus"], before + outage + after)
        trails = [trail for _, trail in results[len(before) :]]
        asked = sum("eastus" in trail for trail in trails[:6])
        assert (asked <= 3, trails[-2:]) == (True, ["eastus", "eastus"]), (
            f"seed {seed}, script {number}: {trails}"
        )


# The client in trouble asks for an operation every so many seconds, and all backends answer alike. The other
# one chats every so many seconds. Both go on for so many seconds.
TROUBLES: dict[str, tuple[float, str, dict[str, Any], float, float]] = {
    "a wrong path": (4, "nosuch/x", {"reason": "credential", "status": 401}, 0.25, 45),
    "403": (1, "chat/completions", {"reason": "forbidden", "status": 403}, 0.125, 60),
    "500": (1, "chat/completions", {"reason": "server_error", "status": 500}, 0.125, 60),
    "408": (1, "chat/completions", {"reason": "server_error", "status": 408}, 0.125, 60),
    "a reset": (1, "chat/completions", {"reason": "reset"}, 0.125, 60),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_f8_a_minute_of_one_clients_trouble_costs_another_no_answer(lua: Lua, name: str) -> None:
    every, operation, outcome, pause, seconds = TROUBLES[name]
    names = ["eastus", "westus", "swedencentral"]
    trouble = [
        step(index * every, "bad", dict.fromkeys(names, outcome), body=str(index), operation=operation)
        for index in range(int(seconds / every))
    ]
    well: dict[str, Any] = {name: {} for name in names}
    chats = [step(index * pause, "good", well, body=f"good {index}") for index in range(int(seconds / pause))]
    steps = sorted(trouble + chats, key=lambda one: one["at"])
    results = zip(run(lua, names, steps), steps, strict=True)
    assert {status for (status, _), one in results if one["client"] == "good"} == {200}


def test_f9_an_outage_of_all_backends_for_30_s_ends_with_one_trial(lua: Lua) -> None:
    names = ["eastus", "westus", "swedencentral"]
    down = dict.fromkeys(names, BAD[0])
    well: dict[str, Any] = {name: {} for name in names}
    outage = [step(index / 4, f"client {index % 2}", down, body=str(index)) for index in range(120)]
    results = run(lua, names, [*outage, step(30, "client 0", well, body="after")])
    assert results[-1] == (200, "eastus")
