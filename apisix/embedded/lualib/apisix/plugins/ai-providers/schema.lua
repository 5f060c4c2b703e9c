--- Names of the AI drivers that ai-proxy-multi may load; the gateway's module hook adds its own.
return { providers = {} }
