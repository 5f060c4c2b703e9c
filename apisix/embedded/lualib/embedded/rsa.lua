--- Verifies RSA signatures over SHA-256 (RS256 of RFC 7518) with the libcrypto that nginx is linked with.
local ffi = require("ffi")

local C = ffi.C
local char = string.char
local floor = math.floor

ffi.cdef([[
void *d2i_PUBKEY(void **key, const unsigned char **der, long length);
void EVP_PKEY_free(void *key);
void *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(void *context);
const void *EVP_sha256(void);
int EVP_DigestVerifyInit(void *context, void **key_context, const void *digest, void *engine, void *key);
int EVP_DigestVerify(void *context, const unsigned char *signature, size_t signature_length,
                     const unsigned char *text, size_t text_length);
void ERR_clear_error(void);
]])

local INTEGER, BIT_STRING, SEQUENCE = 0x02, 0x03, 0x30
-- AlgorithmIdentifier of rsaEncryption (RFC 8017, appendix A.1): the object identifier and NULL.
local RSA_ENCRYPTION = "\48\13\6\9\42\134\72\134\247\13\1\1\1\5\0"

local _M = {}

-- One DER element (X.690): tag, length, content.
local function element(tag, content)
    local length = #content
    if length < 0x80 then
        return char(tag, length) .. content
    end
    local octets = ""
    while length > 0 do
        octets = char(length % 256) .. octets
        length = floor(length / 256)
    end
    return char(tag, 0x80 + #octets) .. octets .. content
end

-- A number whose first bit is set gets a leading zero; otherwise it would be negative.
local function unsigned(bytes)
    bytes = bytes:gsub("^%z+", "")
    if bytes == "" or bytes:byte() >= 0x80 then
        bytes = "\0" .. bytes
    end
    return element(INTEGER, bytes)
end

--- A public key, made of its two numbers.
-- @param modulus string big-endian bytes
-- @param exponent string big-endian bytes
-- @return cdata|nil key, freed by the garbage collector; nil when the numbers make no key
function _M.public_key(modulus, exponent)
    local numbers = element(SEQUENCE, unsigned(modulus) .. unsigned(exponent))
    local der = element(SEQUENCE, RSA_ENCRYPTION .. element(BIT_STRING, "\0" .. numbers))
    local start = ffi.new("const unsigned char *[1]")
    start[0] = ffi.cast("const unsigned char *", der)
    local key = C.d2i_PUBKEY(nil, start, #der)
    if key == nil then
        C.ERR_clear_error()
        return nil
    end
    return ffi.gc(key, C.EVP_PKEY_free)
end

--- Whether `signature` is the key's, over the bytes of `text`.
-- @return boolean
function _M.is_signed(key, text, signature)
    local context = C.EVP_MD_CTX_new()
    if context == nil then
        return false
    end
    local valid = C.EVP_DigestVerifyInit(context, nil, C.EVP_sha256(), nil, key) == 1
        and C.EVP_DigestVerify(context, signature, #signature, text, #text) == 1
    C.EVP_MD_CTX_free(context)
    -- nginx would take an error that a failed check leaves behind for one of its own connections.
    C.ERR_clear_error()
    return valid
end

return _M
