"""How agents talk: shapes of sessions, after public descriptions of the clients.

A session is a generator: it gives one request after the other and gets the answers. What the model says is
part of the shape, so each way of routing gets the same prompts. Only what another backend could not read is
taken from the answers: encrypted reasoning and the ids of stored responses.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from random import Random
from typing import Any

from e2e.cache_table.texts import between, prose

Json = dict[str, Any]
Talk = Generator[Json, Json, None]

CHAT = "/openai/v1/chat/completions"
RESPONSES = "/openai/v1/responses"
MESSAGES = "/anthropic/v1/messages"

CODEX_MODEL = "gpt-5.1-codex"
CLAUDE_MODEL = "claude-sonnet-4-5"
CHAT_MODEL = "gpt-4.1"
SMALL_MODEL = "gpt-4.1-mini"

# Seconds between an answer and the next request: the model's answer and the tool that it calls.
_THINKING = (4.0, 12.0)


@dataclass(frozen=True)
class Session:
    """The requests of one agent, from one client, to one path, from a second on."""

    client: int
    path: str
    starts_at: float
    talk: Talk
    pause: tuple[float, float] = _THINKING


@dataclass(frozen=True)
class Shape:
    """A kind of load."""

    name: str
    explains: str
    make: Callable[[Random], list[Session]]
    is_bound: bool = False
    """Whether only the backend of the first request can go on with a session, whatever the load is."""


def _function(random: Random, name: str, size: int) -> Json:
    """The description of a function."""
    properties = {"path": {"type": "string"}, "text": {"type": "string"}}
    parameters = {"type": "object", "properties": properties, "required": ["path"]}
    return {"name": name, "description": prose(random, size), "parameters": parameters}


def _functions(random: Random, count: int, size: int) -> list[Json]:
    return [_function(random, f"tool_{number}", size) for number in range(count)]


# --- Codex ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Codex:
    """What all sessions of Codex have in common, and those of one project."""

    instructions: str
    tools: list[Json]
    permissions: str
    project: str

    @classmethod
    def make(cls, random: Random) -> _Codex:
        tools = [{"type": "function", "strict": False, **one} for one in _functions(random, 6, 200)]
        return cls(prose(random, 3500), tools, prose(random, 300), prose(random, 900))

    def talk(self, random: Random, steps: int, *, reasons: bool) -> Talk:
        """Responses with instructions, tools, a growing input and the session's key.

        The project's AGENTS.md is a user's message of its own. A model that reasons gives encrypted
        reasoning, which the client sends again.
        """
        key = f"{random.getrandbits(128):032x}"
        items: list[Json] = [
            _said("developer", self.permissions),
            _said("user", self.project),
            _said("user", between(random, 40, 200)),
        ]
        for step in range(steps):
            body = {
                "model": CODEX_MODEL,
                "instructions": self.instructions,
                "input": list(items),
                "tools": self.tools,
                "tool_choice": "auto",
                "parallel_tool_calls": False,
                "store": False,
                "include": ["reasoning.encrypted_content"] if reasons else [],
                "prompt_cache_key": key,
            }
            answer = yield body
            items += [
                {"type": "reasoning", "summary": [], "encrypted_content": item["encrypted_content"]}
                for item in answer["output"]
                if item["type"] == "reasoning"
            ]
            items += _called(random, f"call_{step}")


def _said(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def _called(random: Random, call: str) -> list[Json]:
    """A call of a tool, and what it gives."""
    return [
        {"type": "function_call", "call_id": call, "name": "tool_0", "arguments": between(random, 20, 150)},
        {"type": "function_call_output", "call_id": call, "output": between(random, 50, 1200)},
    ]


def _codex(random: Random, count: int, *, reasons: bool) -> list[Session]:
    codex = _Codex.make(random)
    return [
        Session(number % 3, RESPONSES, random.uniform(0, 90), codex.talk(random, steps, reasons=reasons))
        for number, steps in enumerate(random.choices(range(20, 45), k=count))
    ]


# --- Claude Code ------------------------------------------------------------------------------------------


def _claude(random: Random, tools: list[Json], system: str, reminder: str, steps: int) -> Talk:
    """Messages with a large list of tools, and marks that move along with the end of the history."""
    mark = {"cache_control": {"type": "ephemeral"}}
    question = [{"type": "text", "text": reminder}, {"type": "text", "text": between(random, 20, 200)}]
    messages: list[Json] = [{"role": "user", "content": question}]
    for step in range(steps):
        *earlier, last = messages
        *blocks, end = last["content"]
        billing = f"x-anthropic-billing-header: cc_version=2.1; cch={random.getrandbits(20):05x};"
        texts = [{"type": "text", "text": text} for text in (billing, "You code.", system)]
        yield {
            "model": CLAUDE_MODEL,
            "max_tokens": 32000,
            "system": [*texts[:2], {**texts[2], **mark}],
            "tools": tools,
            "messages": [*earlier, {**last, "content": [*blocks, {**end, **mark}]}],
        }
        use = {"type": "tool_use", "id": f"toolu_{step}", "name": "tool_0"}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{step}", "content": between(random, 50, 1500)}
        messages = [
            *messages,
            {"role": "assistant", "content": [{**use, "input": {"text": between(random, 20, 200)}}]},
            {"role": "user", "content": [result]},
        ]


def _claude_code(random: Random) -> list[Session]:
    tools = [
        {"name": one["name"], "description": one["description"], "input_schema": one["parameters"]}
        for one in _functions(random, 18, 600)
    ]
    system, reminder = prose(random, 2500), prose(random, 1500)
    return [
        Session(number % 2, MESSAGES, random.uniform(0, 90), _claude(random, tools, system, reminder, steps))
        for number, steps in enumerate(random.choices(range(20, 40), k=8))
    ]


# --- chat -------------------------------------------------------------------------------------------------


def _chat(
    random: Random, tools: list[Json], messages: list[Json], steps: int, result: tuple[int, int]
) -> Talk:
    """Chat completions with a history that grows by calls of tools."""
    for step in range(steps):
        yield {"model": CHAT_MODEL, "messages": list(messages), "tools": tools}
        call = {"name": "tool_0", "arguments": between(random, 20, 100)}
        messages += [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": f"call_{step}", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": f"call_{step}", "content": between(random, *result)},
        ]


def _chat_session(
    random: Random, client: int, shared: list[Json], tools: list[Json], steps: int, result: tuple[int, int]
) -> Session:
    messages = [*shared, {"role": "user", "content": between(random, 30, 150)}]
    return Session(client, CHAT, random.uniform(0, 90), _chat(random, tools, messages, steps, result))


def _chat_tools(random: Random) -> list[Json]:
    return [{"type": "function", "function": one} for one in _functions(random, 5, 100)]


def _chat_agents(random: Random) -> list[Session]:
    shared, tools = [{"role": "system", "content": prose(random, 1500)}], _chat_tools(random)
    return [
        _chat_session(random, number % 3, shared, tools, steps, (50, 900))
        for number, steps in enumerate(random.choices(range(15, 40), k=10))
    ]


def _twenty_agents(random: Random) -> list[Session]:
    shared = [
        {"role": "system", "content": prose(random, 5500)},
        {"role": "user", "content": prose(random, 500)},
    ]
    tools = _chat_tools(random)
    return [_chat_session(random, 0, shared, tools, 14, (50, 300)) for _ in range(20)]


# --- others -----------------------------------------------------------------------------------------------


def _short(random: Random) -> Talk:
    while True:
        yield {"model": SMALL_MODEL, "messages": [{"role": "user", "content": between(random, 20, 600)}]}


def _few(talk: Talk, steps: int) -> Talk:
    """The first requests of a session."""
    answer = None
    for _ in range(steps):
        answer = yield talk.send(answer) if answer is not None else next(talk)


def _short_prompts(random: Random) -> list[Session]:
    return [Session(number % 3, CHAT, random.uniform(0, 9), _few(_short(random), 30)) for number in range(8)]


def _chain(random: Random, instructions: str, steps: int) -> Talk:
    """Responses that refer to the one before, which holds the history."""
    items = [_said("user", between(random, 40, 200))]
    previous: Json = {}
    for step in range(steps):
        body = {"model": CODEX_MODEL, "instructions": instructions, "input": items}
        answer = yield body | previous
        previous = {"previous_response_id": answer["id"]}
        items = _called(random, f"call_{step}")[1:]


def _chains(random: Random) -> list[Session]:
    instructions = prose(random, 3000)
    return [
        Session(number % 3, RESPONSES, random.uniform(0, 90), _chain(random, instructions, steps))
        for number, steps in enumerate(random.choices(range(15, 35), k=24))
    ]


def _mixed(random: Random) -> list[Session]:
    return [
        *_codex(random, 5, reasons=False),
        *_claude_code(random)[:4],
        *_chat_agents(random)[:5],
        *_short_prompts(random)[:2],
    ]


SHAPES = [
    Shape(
        "Codex",
        "10 sessions of 3 clients: instructions, tools, growing input, `prompt_cache_key`",
        lambda random: _codex(random, 10, reasons=False),
    ),
    Shape(
        "Codex, reasoning",
        "24 sessions of 3 clients: the same with encrypted reasoning, which only its maker can read",
        lambda random: _codex(random, 24, reasons=True),
        is_bound=True,
    ),
    Shape(
        "Claude Code",
        "8 sessions of 2 clients: 18 tools, system text, marks of the cache that move along",
        _claude_code,
    ),
    Shape(
        "Chat agents",
        "10 sessions of 3 clients: system text, history that grows by calls of tools",
        _chat_agents,
    ),
    Shape(
        "Twenty agents",
        "20 agents of one client that share a system text and a first message (6,000 tokens)",
        _twenty_agents,
    ),
    Shape("Chains", "24 sessions of 3 clients with `previous_response_id`", _chains, is_bound=True),
    Shape("Short prompts", "fewer than 1,024 tokens, from 3 clients", _short_prompts),
    Shape("Mixed", "5 sessions of Codex, 4 of Claude Code, 5 chat agents and short prompts at once", _mixed),
]
