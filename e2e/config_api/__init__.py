"""The config API of the end-to-end stage: changes the configuration of the gateway that it stands beside.

- `preferences`: where the preferred backends are kept, for all replicas
- `publisher`: renders them into the gateway's configuration
- `follower`: publishes each change, whoever made it
- `app`: the HTTP interface
- `cli`: `python -m e2e.config_api`

Data flows one way: post → preferences → follower → publisher → apisix.yaml → gateway.
"""
