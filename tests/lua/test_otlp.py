"""O2, O3: whatever is written in OTLP's binary form, OTLP's own definitions read it back."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.engines.support import Lua
from tests.support.otlp import attributes_in

WRITE = """
local otlp = require("apisix.plugins.azure-openai.account.otlp")
local string_buffer = require("string.buffer")
local function write(message, place, attributes)
    local written = otlp.attributes(place, message)
    for _, pair in ipairs(attributes) do
        written:add(pair[1], pair[2])
    end
    return message
end
local items = string_buffer.new()
for _, span in ipairs(spans) do
    local message = string_buffer.new()
    otlp.put_id(message, "\\10\\16", span.id)
    message:put("\\57", otlp.time(span.seconds))
    otlp.put_item(items, write(message, otlp.IN_SPAN, span.attributes))
end
local of_resource = write(string_buffer.new(), otlp.IN_RESOURCE, resource):get()
return ngx.encode_base64(otlp.head_of_export(of_resource, #items) .. items:get())
"""

NUMBERS = (
    st.integers(-(2**53) + 1, 2**53 - 1)
    | st.integers(-300, 40_000)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.text(min_size=1) | st.booleans() | NUMBERS | st.integers(100, 20_000).map(lambda n: "x" * n)
NAMES = st.sampled_from(["a", "gen_ai.usage.cache_creation.input_tokens", "azure_openai.client"])
ATTRIBUTES = st.dictionaries(NAMES, VALUES)
SPANS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    id=st.binary(min_size=16, max_size=16).map(bytes.hex),
    milliseconds=st.integers(0, 2**42),
    attributes=ATTRIBUTES,
)


def as_sent(span: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": span["id"],
        "seconds": span["milliseconds"] / 1000,
        "attributes": list(span["attributes"].items()),
    }


def as_read(span: Span) -> dict[str, Any]:
    milliseconds, rest = divmod(span.start_time_unix_nano, 1_000_000)
    assert rest == 0
    return {
        "id": span.trace_id.hex(),
        "milliseconds": milliseconds,
        "attributes": attributes_in(span.attributes),
    }


@given(ATTRIBUTES, st.lists(SPANS, max_size=5))
def test_o3_a_batch_is_read_as_it_was_written(
    lua: Lua, resource: dict[str, Any], spans: list[dict[str, Any]]
) -> None:
    [text] = lua(WRITE, resource=list(resource.items()), spans=[as_sent(span) for span in spans])
    [read] = ExportTraceServiceRequest.FromString(b64decode(text)).resource_spans
    assert attributes_in(read.resource.attributes) == resource
    [scope] = read.scope_spans
    assert scope.scope.name == "azure-openai-gateway"
    assert [as_read(span) for span in scope.spans] == spans
