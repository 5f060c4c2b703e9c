"""HTTP/1.1 and WebSocket on asyncio, with control over every byte that is written.

- `http`: a request, and the bytes of an answer's head
- `connection`: one client connection; `Channel` is the way back to the client
- `listener`: the port of a region
- `websocket`: messages over an upgraded connection
"""
