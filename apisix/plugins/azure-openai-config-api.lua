--- Hands a post of a client to the config API beside the gateway, which writes the gateway's configuration (end-to-end
--- tests only).
local core = require("apisix.core")
local connection_module = require("apisix.plugins.azure-openai.attempt.connection")
local http_exchange = require("apisix.plugins.azure-openai.attempt.http_exchange")
local errors = require("apisix.plugins.azure-openai.base.errors")
local schemas = require("apisix.plugins.azure-openai.base.schemas")
local request_body = require("apisix.plugins.azure-openai.request.body")

local PLUGIN = "azure-openai-config-api"
local document = schemas.read(PLUGIN)

local HOST = "127.0.0.1"
-- The only one that there is. The client's own path never reaches the config API.
local PATH = "/helpers/set-preferred-backends"
local MOST_BODY_BYTES = 65536
-- Its answers repeat the body, in which an escape may stand for each byte.
local MOST_ANSWER_BYTES = 8 * MOST_BODY_BYTES
-- Those of the config API (e2e/config_api/app.py). Something else may listen on its port.
local KNOWN_STATUSES = { [200] = true, [400] = true, [401] = true, [413] = true, [503] = true }
local CONNECT_TIMEOUT_MS = 1000
-- It may read settings from Key Vault before it answers.
local READ_TIMEOUT_MS = 15000

local _M = {
    version = 0.1,
    priority = 1030,
    name = PLUGIN,
    schema = document.schema,
    check_schema = schemas.checker(document),
}

local function read_answer(response)
    if not KNOWN_STATUSES[response.status] then
        return nil, "its answer has the status " .. response.status
    end
    if not response.body then
        return ""
    end
    return response.body:read_whole(MOST_ANSWER_BYTES)
end

local function post(conf, body)
    local server = { scheme = "http", host = HOST, port = conf.port }
    local connection, err = connection_module.open(server, {
        connect_timeout_ms = CONNECT_TIMEOUT_MS,
        timeout_ms = READ_TIMEOUT_MS,
        is_unpooled = true,
    })
    if not connection then
        return nil, err
    end
    local response, answer
    response, err = http_exchange.exchange(connection, server, {
        method = "POST",
        target = PATH,
        headers = { ["authorization"] = "Bearer " .. conf.token, ["content-type"] = "application/json" },
        body = request_body.of_text(body),
    })
    if response then
        answer, err = read_answer(response)
    end
    connection:close()
    if not answer then
        return nil, err
    end
    return { status = response.status, body = answer }
end

function _M.access(conf, ctx)
    local body, too_large = core.request.get_body(MOST_BODY_BYTES, ctx)
    if too_large then
        return errors.respond(ctx, 413, "The request body is larger than " .. MOST_BODY_BYTES .. " bytes.")
    end
    local answer, err = post(conf, body or "")
    if not answer then
        core.log.error("azure-openai: the config API on port ", conf.port, " does not answer: ", err)
        return errors.respond(
            ctx,
            503,
            "The config API of this gateway does not answer: nothing was changed."
        )
    end
    if answer.status == 401 then
        -- Not passed on, because the client would suspect its own key.
        core.log.error("azure-openai: the config API has another CONFIG_API_TOKEN than the gateway")
        return errors.respond(ctx, 503, "The config API of this gateway refuses it: nothing was changed.")
    end
    ctx.azure_openai_shaped = true
    core.response.set_header("Content-Type", "application/json")
    return answer.status, answer.body
end

return _M
