--- The part of APISIX's `apisix.core` that the gateway's plugins use.
return {
    config = require("apisix.core.config"),
    ctx = require("apisix.core.ctx"),
    json = require("apisix.core.json"),
    log = require("apisix.core.log"),
    lrucache = require("apisix.core.lrucache"),
    request = require("apisix.core.request"),
    resolver = require("apisix.core.resolver"),
    response = require("apisix.core.response"),
    schema = require("apisix.core.schema"),
    sleep = ngx.sleep,
    string = require("apisix.core.string"),
    table = require("apisix.core.table"),
    utils = require("apisix.core.utils"),
    version = { VERSION = "3.18.0" },
}
