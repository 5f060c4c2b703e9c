--- The distribution keeps this library under another name.
return require("nginx.sha1")
