--- Kinds of spans, by the numbers of opentelemetry-proto (trace/v1).
return { unspecified = 0, internal = 1, server = 2, client = 3, producer = 4, consumer = 5 }
