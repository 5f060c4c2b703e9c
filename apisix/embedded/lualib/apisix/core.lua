--- The part of APISIX's `apisix.core` that the gateway's plugins use.
return {
    config = require("apisix.core.config"),
    ctx = require("apisix.core.ctx"),
    json = require("apisix.core.json"),
    log = require("apisix.core.log"),
    request = require("apisix.core.request"),
    response = require("apisix.core.response"),
    schema = require("apisix.core.schema"),
    string = require("apisix.core.string"),
    table = require("apisix.core.table"),
    version = { VERSION = "3.18.0" },
}
