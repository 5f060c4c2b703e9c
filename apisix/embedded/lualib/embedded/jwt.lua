--- Takes JSON Web Tokens in compact form (RFC 7519) apart, without verifying them.
local decode_base64url = require("ngx.base64").decode_base64url
local json = require("apisix.core.json")

local type = type

local _M = {}

local function object(encoded)
    local text = decode_base64url(encoded)
    local value = text and json.decode(text)
    return type(value) == "table" and value or nil
end

--- The parts of a token.
-- @param token string
-- @return table|nil { header, claims, signed, signature }: `signed` is the text that `signature` (bytes) signs
function _M.parse(token)
    local signed, header, claims, signature = token:match("^(([%w_-]+)%.([%w_-]+))%.([%w_-]*)$")
    if not signed then
        return nil
    end
    local parsed = {
        header = object(header),
        claims = object(claims),
        signed = signed,
        signature = decode_base64url(signature),
    }
    return parsed.header and parsed.claims and parsed.signature and parsed or nil
end

return _M
