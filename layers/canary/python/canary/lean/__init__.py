"""The router's ports on `canary.wire`: the same requests as those of `canary.aws`, without an SDK."""
