--- Web pages of the bundle: each is one HTML file without outside parts, with a policy under which a browser runs the
--- file's own script and nothing else.
local resty_sha256 = require("resty.sha256")

local io_open = io.open
local error = error
local ngx = ngx

local directory = debug.getinfo(1, "S").source:match("^@(.*)base/pages%.lua$") .. "pages/"

local _M = {}

-- The hash by which a policy allows an element of the page: "'sha256-…'".
local function hash_of(html, element)
    local sha256 = resty_sha256:new()
    sha256:update(html:match("<" .. element .. ">(.-)</" .. element .. ">"))
    return "'sha256-" .. ngx.encode_base64(sha256:final()) .. "'"
end

--- Reads a page.
-- @param name string for example "live"
-- @return table { html, policy } with the value of Content-Security-Policy
function _M.read(name)
    local path = directory .. name .. ".html"
    local file, err = io_open(path, "rb")
    if not file then
        error("cannot read the page " .. path .. ": " .. err)
    end
    local html = file:read("*a")
    file:close()
    return {
        html = html,
        -- Trusted types keep the script itself from making markup of a text.
        policy = "default-src 'none'; script-src "
            .. hash_of(html, "script")
            .. "; style-src "
            .. hash_of(html, "style")
            .. "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            .. "; require-trusted-types-for 'script'; trusted-types 'none'",
    }
end

return _M
