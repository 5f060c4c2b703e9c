--- Lets the other requests of this worker go on, in the middle of long work.
local ngx = ngx

-- Not 0: a plain nginx would run timers that are due at once, this one again and again, before it looks at its sockets.
local SHORTEST_SECONDS = 0.001

return function()
    ngx.sleep(SHORTEST_SECONDS)
end
