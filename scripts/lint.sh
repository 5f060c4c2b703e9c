#!/usr/bin/env bash
# Runs every static check, also after one that fails. Fails at the end if any did.
#
# Usage: scripts/lint.sh [CHECK …], for example `scripts/lint.sh mypy ruff-check`; without names, all of them.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit

readonly wanted=" $* "
failed=() names=()

check() {
    local name=$1 output status
    names+=("${name// /-}")
    [[ $wanted =~ ^\ *$ || $wanted == *" ${name// /-} "* ]] || return 0
    shift
    output=$("$@" 2>&1)
    status=$?
    case $status in
    0) printf 'lint: %-14s ok\n' "$name" ;;
    77) printf 'lint: %-14s skipped: %s\n' "$name" "$output" ;;
    *)
        printf '%s\nlint: %-14s FAILED\n' "$output" "$name"
        failed+=("$name")
        ;;
    esac
}

lua_format() {
    scripts/stylua.sh --check apisix e2e
    local status=$?
    [ $status -ne 77 ] || echo "StyLua comes from npm (Debian: apt-get install npm), and its registry has to answer"
    return $status
}

terraform_format() {
    local terraform
    terraform=$(command -v terraform || command -v tofu) || {
        echo "neither terraform nor tofu is installed"
        return 77
    }
    "$terraform" fmt -check -recursive -diff infra
}

terraform_lint() {
    command -v tflint >/dev/null || {
        echo "tflint is not installed"
        return 77
    }
    local options=(--recursive --config "$PWD/.tflint.hcl" --chdir infra)
    if [ -x "${TFLINT_PLUGIN_DIR:-$HOME/.tflint.d/plugins}/tflint-ruleset-azurerm" ]; then
        options+=(--enable-plugin azurerm)
    fi
    tflint "${options[@]}"
}

workflows() {
    .venv/bin/zizmor --offline --no-progress --quiet .github || return
    ! command -v actionlint >/dev/null || actionlint
}

# Every import is declared, and every declared package is imported. Only tests may import development packages.
dependencies() {
    .venv/bin/deptry azure_openai_gateway renderer scripts e2e && .venv/bin/deptry tests --ignore DEP002,DEP004
}

# Tests misspell on purpose. A word that is right goes into words.txt.
spelling() {
    .venv/bin/codespell --ignore-words scripts/lint/words.txt --skip '*.svg,*.json,__pycache__,.terraform' \
        ./*.md mkdocs.yml Makefile docs apisix dashboards e2e examples infra azure_openai_gateway renderer scripts
}

check "ruff check" .venv/bin/ruff check --quiet .
check "ruff format" .venv/bin/ruff format --check --diff --quiet .
check "mypy" .venv/bin/mypy --no-error-summary
check "dependencies" dependencies
check "spelling" spelling
check "shellcheck" shellcheck .ci/run scripts/*.sh scripts/coverage/*.sh scripts/shell_completion/*.bash
check "luacheck" luacheck --quiet apisix e2e
check "rooms" .venv/bin/python -m scripts.lint.rooms
check "defaults" .venv/bin/pytest -q tests/renderer/test_defaults.py
check "stylua" lua_format
check "terraform fmt" terraform_format
check "tflint" terraform_lint
check "workflows" workflows

for name in $wanted; do
    if [[ " ${names[*]} " != *" $name "* ]]; then
        echo "lint: there is no check $name: use ${names[*]}"
        exit 2
    fi
done

if [ ${#failed[@]} -gt 0 ]; then
    echo "lint: failed: ${failed[*]} (make format corrects the format)"
    exit 1
fi
