--- The context of a request: the span under which the next one becomes a child.
local ngx = ngx
local setmetatable = setmetatable

local _M = {}
local mt = { __index = _M }

--- A context around a span.
-- @param span table|nil nil at the beginning of a trace
function _M.new(span)
    return setmetatable({ _span = span }, mt)
end

--- Makes this the context of the current request.
function _M:attach()
    ngx.ctx.opentelemetry_context = self
    return self
end

--- The context of the current request.
function _M.current()
    return ngx.ctx.opentelemetry_context or _M.new()
end

function _M:span()
    return self._span
end

return _M
