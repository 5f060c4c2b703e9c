--- How long answers took, counted in this worker by deployment and bucket, until the sums are handed over
--- (account/sums.lua). A registry that gets each of them would do more for a request than all the rest of counting.
local registry = require("apisix.plugins.azure-openai.account.registry")

local pairs = pairs
local math_huge = math.huge
local math_min = math.min

-- By histogram, deployment and number of the bucket: { count, seconds (of all together) }.
local noted = { duration = {}, first_token = {} }

local _M = {}

-- The number of the first bucket that a value belongs to; one more than there are for what is longer.
local function bucket_of(bounds, seconds)
    local index = 1
    while index <= #bounds and seconds > bounds[index] do
        index = index + 1
    end
    return index
end

--- Notes one duration.
-- @param histogram string "duration" or "first_token"
-- @param deployment string as it is labelled
-- @param seconds number
function _M.note(histogram, deployment, seconds)
    local buckets = noted[histogram][deployment]
    if not buckets then
        buckets = {}
        noted[histogram][deployment] = buckets
    end
    local index = bucket_of(registry.BOUNDS[histogram], seconds)
    local bucket = buckets[index]
    if not bucket then
        bucket = { count = 0, seconds = 0 }
        buckets[index] = bucket
    end
    bucket.count = bucket.count + 1
    bucket.seconds = bucket.seconds + seconds
end

-- The mean of a bucket is in the bucket, but for what is lost in rounding.
local function flush_deployment(histogram, deployment, buckets)
    for index, bucket in pairs(buckets) do
        local bound = registry.BOUNDS[histogram][index] or math_huge
        local mean = math_min(bucket.seconds / bucket.count, bound)
        registry.observe(histogram, { deployment }, mean, bucket.count)
    end
end

--- Hands everything over.
function _M.flush()
    for histogram, deployments in pairs(noted) do
        noted[histogram] = {}
        for deployment, buckets in pairs(deployments) do
            flush_deployment(histogram, deployment, buckets)
        end
    end
end

return _M
