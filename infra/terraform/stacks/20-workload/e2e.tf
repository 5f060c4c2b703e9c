# What the end-to-end stage knows of itself; all of it is empty without deploy_e2e. The test routes of the renderer, the
# scenarios and their clients rely on these names.
locals {
  e2e_backends = var.deploy_e2e ? [
    { name = "ptu-backend-1", app = "ptu1", priority = "1" },
    { name = "payg-backend-1", app = "payg1", priority = "0" },
    { name = "payg-backend-2", app = "payg2", priority = "0" },
  ] : []
  e2e_clients = var.deploy_e2e ? ["client-one", "client-two", "client-three"] : []

  # What each simulator serves, as its command line takes it. Requests are counted over 10 seconds.
  e2e_deployments = [
    "gpt-35-turbo-100m-token",
    "gpt-35-turbo-100k-token:tpm=100000,rpm=600,request_window_s=10",
    "gpt-35-turbo-10k-token:tpm=10000,rpm=60,request_window_s=10",
    "embedding100k:tpm=100000,rpm=600,request_window_s=10",
    "embedding:tpm=10000,rpm=60,request_window_s=10",
  ]

  simulator_names = { for backend in local.e2e_backends : backend.name => "ca-${module.naming.stem}-sim-${backend.app}" }
  # The address does not depend on the app, so a plan shows it before the app exists, and after a turn inward or outward.
  simulator_domain = "${var.ingress_external ? "" : "internal."}${var.environment_default_domain}"
  simulator_urls   = { for backend, app in local.simulator_names : backend => "https://${app}.${local.simulator_domain}" }

  e2e_settings = merge(
    var.deploy_e2e ? { GATEWAY_E2E_TEST_MODE = "true" } : {},
    merge([
      for index, backend in local.e2e_backends : {
        "AZURE_OPENAI_ENDPOINT_${index}" = local.simulator_urls[backend.name]
        "AZURE_OPENAI_NAME_${index}"     = backend.name
        "AZURE_OPENAI_PRIORITY_${index}" = backend.priority
      }
    ]...),
    { for index, client in local.e2e_clients : "GATEWAY_CLIENT_NAME_${index}" => client },
  )

  # The secrets of the stage: what the gateway reads, and its name in Key Vault.
  e2e_client_secrets = { for client in local.e2e_clients : client => "e2e-${client}-key" }
  e2e_secrets = {
    for variable, name in merge(
      { for index, backend in local.e2e_backends : "AZURE_OPENAI_KEY_${index}" => "e2e-simulator-key" },
      { for index, client in local.e2e_clients : "GATEWAY_CLIENT_KEY_${index}" => local.e2e_client_secrets[client] },
      var.deploy_e2e ? { CONFIG_API_TOKEN = "e2e-config-api-token" } : {},
    ) : variable => { name = name, version = var.e2e_secret_versions[name] }
  }
}
