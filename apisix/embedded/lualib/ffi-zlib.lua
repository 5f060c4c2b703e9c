--- The part of lua-ffi-zlib's interface that the gateway uses. APISIX ships that library.
local ffi = require("ffi")

ffi.cdef([[
typedef struct z_stream_s {
    const char *next_in;
    unsigned int avail_in;
    unsigned long total_in;
    char *next_out;
    unsigned int avail_out;
    unsigned long total_out;
    const char *msg;
    void *state;
    void *zalloc;
    void *zfree;
    void *opaque;
    int data_type;
    unsigned long adler;
    unsigned long reserved;
} z_stream;
enum { Z_NO_FLUSH = 0, Z_OK = 0, Z_STREAM_END = 1, Z_BUF_ERROR = -5 };
const char *zlibVersion(void);
int inflateInit2_(z_stream *stream, int window_bits, const char *version, int stream_size);
int inflate(z_stream *stream, int flush);
int inflateEnd(z_stream *stream);
]])

-- Also accepts the header of plain zlib.
local WINDOW_BITS = 15 + 32

local _M = { zlib = ffi.load("libz.so.1") }

--- A stream and its buffers for input and output.
function _M.createStream(buffer_bytes)
    return ffi.new("z_stream"), ffi.new("char[?]", buffer_bytes + 1), ffi.new("char[?]", buffer_bytes)
end

--- Gets a stream ready to unpack gzip. Returns zlib's code.
function _M.initInflate(stream)
    local library = _M.zlib
    return library.inflateInit2_(stream, WINDOW_BITS, ffi.string(library.zlibVersion()), ffi.sizeof(stream))
end

return _M
