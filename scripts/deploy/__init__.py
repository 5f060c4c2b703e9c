"""The deploy commands: from Terraform stacks and tfvars to a running gateway in Azure, and back.

A command walks through these modules from top to bottom, and each imports only modules below it:

Commands
    cli                options, exit codes, results
    up                 `deploy up`: all stacks in their order
    status             `status`: which stacks are deployed, and whether the gateway runs
    live_status        where the live page of a deployed gateway is, and why it shows nothing
    doctor             `doctor`: checks everything that a deployment needs
    roles              the part of `doctor` that compares the login's roles with the commands
    model_quota        the part of `doctor` that compares the foundry stack's models with what regions offer
    resource_manager   asks Azure what the login may do
    check_result       one row of `doctor`
    destroy            `destroy`: removes stacks in reverse order
    bootstrap          `deploy-bootstrap`: makes the storage of the state and moves its own state there
    workload           `deploy-workload`: the steps below in their order
    deployed_stage     what `deploy-workload --deploy-e2e` made, for end-to-end tests
Steps of `deploy-workload`
    derived_settings   the settings that other stacks add to the user's
    workload_settings  the user's settings, checked with the renderer's model
    simulated_stage    the settings and secrets of the end-to-end stage
    foundry_backend    a model account as a backend
    value_check        the values of a stack, checked as Terraform does
    images             builds images whose sources are new
    base_images        imports the images that ours are built on, the collector's and Redis'
    vault_seeder       writes secrets that differ into Key Vault
    vault_failure      why Key Vault refused, and what to do
    deployment         plans and applies a stack; the only step of the other deploy commands
    unfinished         lets a run take over what the last one left in no state
    rollout            waits for the new revision and sends a first request
    revision_report    why a revision does not run
What every command uses
    session            one run: its environment, tools, and the states of the stacks
    explanations       what the operator reads when Terraform fails
    stack_settings     the settings of each stack, checked against its declarations
    settings_files     which files hold them
    example            the user's file, as `deploy init` makes it from the example
    state_store        where the states are
    declarations       variables, outputs and backend of a stack
    tfvars             the values in the user's files
    hcl                quotes, escapes and heredocs
    layout             the stacks, their order and their files
    unpacked           the stacks of an installed package, copied to where Terraform may write
    azure_cli          typed calls of `az`
    waiting            waits for Azure, and says so
    console            progress, questions, results, the mask over secrets
    activity           the line at the bottom of a terminal that shows what is going on
    silence            a line of text for the same, where there is no terminal
    deploy_errors      errors and exit codes

Terraform itself is in `scripts.terraform`.
"""
