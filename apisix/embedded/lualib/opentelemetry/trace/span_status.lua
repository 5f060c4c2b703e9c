--- How a span ended, by the numbers of opentelemetry-proto (trace/v1).
return { UNSET = 0, OK = 1, ERROR = 2 }
