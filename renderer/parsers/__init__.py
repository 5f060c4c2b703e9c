"""Text to value. Each parser takes the trimmed text of a variable; a typed value stays as it is.

A parser that refuses a text raises `wrong(...)`: what is wrong, and what to write. No message repeats the
text, because the text may be a secret that was put into the wrong variable.

basics      flags, lists, names, secrets
urls        endpoints and other URLs, hosts, and what an endpoint tells about its cloud
guardrails  address ranges, patterns, origins, header names
prices      the table of model prices
"""
