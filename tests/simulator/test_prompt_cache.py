"""The prompt cache: prefixes of 1,024 tokens and more, in steps of 128, for some minutes."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from e2e.simulator import PromptCaching, Simulator, prompts, tokens
from e2e.simulator.prompt_cache import PromptCache, cacheable
from tests.simulator.conftest import CHAT_PATH
from tests.simulator.sse import documents


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=range(20))
def draw() -> random.Random:
    """Fresh chances in every run. A failed test prints the seed that repeats them."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    return random.Random(seed)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def layout(count: int, first: int = 0) -> bytes:
    """A prompt of so many tokens, all different."""
    return b"".join(number.to_bytes(4, "big") for number in range(first, first + count))


# --- the cache --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "known"), [(1023, 0), (1024, 1024), (1151, 1024), (1152, 1152), (5000, 4992)]
)
def test_b5_a_repeated_prompt_is_known_in_steps(clock: Clock, size: int, known: int) -> None:
    cache = PromptCache(clock=clock)
    assert [cache.use("", layout(size)) for _ in range(2)] == [0, known]
    assert known == cacheable(size)


def test_b5_a_longer_prompt_shares_its_beginning(clock: Clock) -> None:
    cache = PromptCache(clock=clock)
    cache.use("", layout(1300))
    assert cache.use("", layout(1300) + layout(2000, 50_000)) == 1280


def test_b5_a_different_first_token_shares_nothing(clock: Clock) -> None:
    cache = PromptCache(clock=clock)
    cache.use("", layout(2000))
    assert cache.use("", layout(1, 99) + layout(2000)[4:]) == 0


def test_b5_namespaces_share_nothing(clock: Clock) -> None:
    cache = PromptCache(clock=clock)
    cache.use("one", layout(2000))
    assert cache.use("two", layout(2000)) == 0


def test_b5_each_use_prolongs_a_life(clock: Clock) -> None:
    cache = PromptCache(life_s=300, clock=clock)
    cache.use("", layout(1024))
    for _ in range(5):
        clock.now += 299
        assert cache.use("", layout(1024)) == 1024
    clock.now += 300
    assert cache.use("", layout(1024)) == 0


def test_b5_no_use_prolongs_a_life_for_ever(clock: Clock) -> None:
    cache = PromptCache(life_s=300, longest_s=1000, clock=clock)
    found = []
    for _ in range(6):
        found.append(cache.use("", layout(1024)))
        clock.now += 250
    assert found == [0, 1024, 1024, 1024, 0, 1024]


def test_b5_a_prompt_may_ask_for_a_longer_life(clock: Clock) -> None:
    cache = PromptCache(life_s=300, clock=clock)
    cache.use("", layout(1024), life_s=3600)
    clock.now += 3599
    assert cache.use("", layout(1024)) == 1024


def test_b5_what_was_not_used_for_longest_gives_way(clock: Clock) -> None:
    cache = PromptCache(clock=clock, capacity=2)
    for name in ("one", "two", "one", "three"):
        cache.use(name, layout(1024))
    assert [cache.use(name, layout(1024)) for name in ("one", "three")] == [1024, 1024]
    assert len(cache) == 2


def test_b5_a_cache_can_be_emptied(clock: Clock) -> None:
    cache = PromptCache(clock=clock)
    cache.use("", layout(1024))
    cache.forget()
    assert cache.use("", layout(1024)) == 0


def test_b5_the_cache_agrees_with_a_list_of_all_prefixes(draw: random.Random) -> None:
    clock = Clock()
    life, longest = draw.uniform(50, 400), draw.uniform(200, 2000)
    cache = PromptCache(life, longest, clock)
    seen: dict[tuple[str, bytes], tuple[float, float]] = {}
    for _ in range(60):
        clock.now += draw.choice([0, draw.uniform(0, 60), draw.uniform(0, 500)])
        name = draw.choice("ab")
        prompt = b"".join(layout(draw.choice([128, 900, 1024, 1500]), draw.randrange(3)) for _ in range(3))
        prompt = prompt[: 4 * draw.randrange(len(prompt) // 4)]
        expected = 0
        for size in range(1024, len(prompt) // 4 + 1, 128):
            first, last = seen.get((name, prompt[: size * 4]), (-math.inf, -math.inf))
            if clock.now < min(last + life, first + longest):
                expected = size
            else:
                first = clock.now
            seen[name, prompt[: size * 4]] = first, clock.now
        assert cache.use(name, prompt) == expected


# --- layouts ----------------------------------------------------------------------------------------------


def drawn_content(draw: random.Random) -> Any:
    text = "".join(draw.choice("aé漢 \ud800") for _ in range(draw.randrange(12)))
    part = {"type": "text", "text": text}
    return draw.choice([None, text, part, [part, text, {"type": "image_url"}], [], 7])


def test_b5_a_layout_has_four_bytes_for_each_token(draw: random.Random) -> None:
    messages = [
        draw.choice([{"role": draw.choice(["user", "tool"]), "content": drawn_content(draw)}, "text", 5])
        for _ in range(draw.randrange(6))
    ]
    assert prompts.count(prompts.of_messages(messages)) == tokens.of_messages(messages)
    assert len(prompts.of_messages(messages)) % 4 == 0


def test_b5_a_conversation_begins_as_it_did() -> None:
    turns: list[Any] = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    tail = tokens.TOKENS_PER_REPLY * prompts.TOKEN_BYTES
    assert prompts.of_messages(turns).startswith(prompts.of_messages(turns[:1])[:-tail])


def test_b5_the_role_is_part_of_a_prompt() -> None:
    assert prompts.of_messages([{"role": "user"}]) != prompts.of_messages([{"role": "system"}])


# --- what answers report ----------------------------------------------------------------------------------

TEXT = "four" * 1200
"""A text of 1,200 tokens."""

RESPONSE = {"model": "gpt-4o", "input": TEXT}
MESSAGES = "/anthropic/v1/messages"


@pytest.fixture
def caching(sim: Simulator, clock: Clock) -> Clock:
    """The clock of the prompt cache of eastus."""
    sim.prompt_cache("eastus", PromptCaching(clock=clock))
    return clock


@pytest.fixture
def claude(http: httpx.Client, caching: Clock) -> httpx.Client:
    http.headers["anthropic-version"] = "2023-06-01"
    return http


def chat(text: str = TEXT, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}


def cached_of_chat(client: httpx.Client, body: dict[str, Any], path: str = CHAT_PATH) -> int:
    usage = client.post(path, json=body).json()["usage"]
    return int(usage["prompt_tokens_details"]["cached_tokens"])


def test_b5_nothing_is_cached_by_default(http: httpx.Client) -> None:
    assert [cached_of_chat(http, chat()) for _ in range(2)] == [0, 0]


def test_b5_a_repeated_chat_is_cached(http: httpx.Client, caching: Clock) -> None:
    assert [cached_of_chat(http, chat()) for _ in range(2)] == [0, 1152]


def test_b5_a_streamed_chat_reports_it_too(http: httpx.Client, caching: Clock) -> None:
    body = chat(stream=True, stream_options={"include_usage": True})
    path = "/openai/v1/chat/completions"
    http.post(path, json=body)
    usage = documents(http.post(path, json=body))[-1]["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 1152


def test_b5_surfaces_share_the_cache_of_a_deployment(http: httpx.Client, caching: Clock) -> None:
    cached_of_chat(http, chat())
    paths = ["/openai/v1/chat/completions", "/models/chat/completions?api-version=2024-05-01-preview"]
    assert [cached_of_chat(http, chat(), path) for path in paths] == [1152, 1152]


def test_b5_deployments_have_caches_of_their_own(http: httpx.Client, caching: Clock) -> None:
    cached_of_chat(http, chat())
    assert cached_of_chat(http, chat(), CHAT_PATH.replace("gpt-4o", "other")) == 0


def test_b5_regions_have_caches_of_their_own(
    sim: Simulator, http: httpx.Client, west: httpx.Client, caching: Clock
) -> None:
    sim.prompt_cache("westus", PromptCaching())
    cached_of_chat(http, chat())
    assert cached_of_chat(west, chat()) == 0


def test_b5_other_tools_make_another_prompt(http: httpx.Client, caching: Clock) -> None:
    cached_of_chat(http, chat())
    assert cached_of_chat(http, chat(tools=[{"type": "function", "function": {"name": "x"}}])) == 0


def test_b5_minutes_later_it_is_gone(http: httpx.Client, caching: Clock) -> None:
    cached_of_chat(http, chat())
    caching.now += 300
    assert cached_of_chat(http, chat()) == 0


def test_b5_a_throttled_request_caches_nothing(sim: Simulator, http: httpx.Client, caching: Clock) -> None:
    sim.fail("eastus", status=429, count=1)
    http.post(CHAT_PATH, json=chat())
    assert cached_of_chat(http, chat()) == 0


def test_b5_responses_report_it(http: httpx.Client, caching: Clock) -> None:
    usages = [http.post("/openai/v1/responses", json=RESPONSE).json()["usage"] for _ in range(2)]
    assert [usage["input_tokens_details"]["cached_tokens"] for usage in usages] == [0, 1152]


def test_b5_the_next_turn_of_a_conversation_is_cached(http: httpx.Client, caching: Clock) -> None:
    first = http.post("/openai/v1/responses", json=RESPONSE).json()
    body = {"model": "gpt-4o", "input": "more", "previous_response_id": first["id"]}
    usage = http.post("/openai/v1/responses", json=body).json()["usage"]
    assert usage["input_tokens_details"]["cached_tokens"] == 1152


def test_b5_a_reset_restores_the_configured_cache(sim: Simulator, http: httpx.Client, caching: Clock) -> None:
    cached_of_chat(http, chat())
    sim.reset()
    assert cached_of_chat(http, chat()) == 0


CALL = {"type": "function_call", "call_id": "c", "name": "list", "arguments": "four" * 9}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "four" * 20}
CHAT_CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": CALL}]}


@pytest.mark.parametrize(
    ("message", "size"),
    [(CALL, 10), (RESULT, 20), (CHAT_CALL, 10), ({"tool_calls": "none"}, 0), ({"tool_calls": [None]}, 0)],
    ids=["call", "result", "call in a chat message", "odd calls", "odd call"],
)
def test_b5_calls_of_functions_are_part_of_a_prompt(message: dict[str, Any], size: int) -> None:
    expected = size + tokens.TOKENS_PER_MESSAGE + tokens.TOKENS_PER_REPLY
    assert [tokens.of_messages([message]), prompts.count(prompts.of_messages([message]))] == [expected] * 2


# --- the Anthropic surface: what is marked ----------------------------------------------------------------


def marked(text: str = TEXT, question: str = "why?", **mark: Any) -> dict[str, Any]:
    """A message whose system text is marked for the cache."""
    system = [{"type": "text", "text": text, "cache_control": {"type": "ephemeral", **mark}}]
    messages = [{"role": "user", "content": question}]
    return {"model": "claude", "max_tokens": 10, "system": system, "messages": messages}


def kinds(client: httpx.Client, body: dict[str, Any]) -> tuple[int, int, int]:
    """The input tokens that were read from the cache, written to it, and neither."""
    usage = client.post(MESSAGES, json=body).json()["usage"]
    return (
        usage["cache_read_input_tokens"],
        usage["cache_creation_input_tokens"],
        usage["input_tokens"],
    )


def test_b5_a_marked_prompt_is_written_then_read(claude: httpx.Client) -> None:
    assert [kinds(claude, marked()) for _ in range(2)] == [(0, 1152, 56), (1152, 0, 56)]


def test_b5_another_question_reads_the_marked_text(claude: httpx.Client) -> None:
    kinds(claude, marked())
    assert kinds(claude, marked(question="how?"))[0] == 1152


def test_b5_a_prompt_without_marks_is_not_cached(claude: httpx.Client) -> None:
    body = {**marked(), "system": TEXT}
    assert [kinds(claude, body)[:2] for _ in range(2)] == [(0, 0), (0, 0)]


def test_b5_what_claude_code_tells_the_service_is_no_part_of_a_prompt(claude: httpx.Client) -> None:
    bodies = [marked() for _ in range(2)]
    for number, body in enumerate(bodies):
        line = f"x-anthropic-billing-header: cc_version=2.1; cch={number:05x};"
        body["system"] = [{"type": "text", "text": line}, *body["system"]]
    assert [kinds(claude, body) for body in bodies] == [(0, 1152, 56), (1152, 0, 56)]


def test_b5_a_short_marked_prompt_is_not_cached(claude: httpx.Client) -> None:
    assert kinds(claude, marked("four" * 1023))[:2] == (0, 0)


def test_b5_a_grown_conversation_reads_the_old_part_and_writes_the_new(claude: httpx.Client) -> None:
    kinds(claude, marked())
    longer = marked()
    block = {"type": "text", "text": "more" * 1000, "cache_control": {"type": "ephemeral"}}
    longer["messages"] = [{"role": "user", "content": [block]}]
    assert kinds(claude, longer)[:2] == (1152, 1024)


def test_b5_a_moved_mark_leaves_the_prompt_the_same(claude: httpx.Client) -> None:
    tool = {"name": "x", "input_schema": {"type": "object"}}
    kinds(claude, {**marked(), "tools": [{**tool, "cache_control": {"type": "ephemeral"}}]})
    assert kinds(claude, {**marked(), "tools": [tool]})[0] > 0


def test_b5_a_mark_of_the_whole_body_caches_all_of_it(claude: httpx.Client) -> None:
    body = {**marked(), "system": TEXT, "cache_control": {"type": "ephemeral"}}
    assert [kinds(claude, body)[0] for _ in range(2)] == [0, 1152]


def test_b5_an_hours_mark_lives_an_hour(claude: httpx.Client, caching: Clock) -> None:
    usage = claude.post(MESSAGES, json=marked(ttl="1h")).json()["usage"]
    assert usage["cache_creation"] == {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1152}
    caching.now += 3000
    assert kinds(claude, marked(ttl="1h"))[0] == 1152


def test_b5_a_stream_reports_it_at_the_beginning_and_at_the_end(claude: httpx.Client) -> None:
    kinds(claude, marked())
    events = documents(claude.post(MESSAGES, json={**marked(), "stream": True}))
    assert events[0]["message"]["usage"]["cache_read_input_tokens"] == 1152
    assert events[-2]["usage"]["cache_read_input_tokens"] == 1152


def test_b5_more_than_four_marks_are_refused(claude: httpx.Client) -> None:
    body = marked()
    body["system"] *= 5
    assert claude.post(MESSAGES, json=body).status_code == 400


def test_b5_without_a_cache_marks_change_nothing(sim: Simulator, claude: httpx.Client) -> None:
    sim.prompt_cache("eastus", None)
    assert [kinds(claude, marked()) for _ in range(2)] == [(0, 0, 1208)] * 2


def test_b5_the_kinds_of_input_add_up(claude: httpx.Client, draw: random.Random) -> None:
    for _ in range(5):
        body = marked("four" * draw.randrange(3000), "?" * draw.randrange(1, 40))
        if draw.random() < 0.5:
            body["cache_control"] = {"type": "ephemeral"}
        counted = claude.post(f"{MESSAGES}/count_tokens", json=body).json()["input_tokens"]
        assert sum(kinds(claude, body)) == counted
