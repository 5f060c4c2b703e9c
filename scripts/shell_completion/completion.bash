# shellcheck shell=bash
# Completion of @PROGRAMS@.
_aoai_gateway_programs=" @PROGRAMS@ "

# Asks a program for candidates; before its name, the words that start it.
_aoai_gateway_ask() {
  local -a start=("${COMP_WORDS[@]:0:$1+1}") words=()
  local position program=${COMP_WORDS[$1]##*/} current=${COMP_WORDS[COMP_CWORD]} line
  # bash has made three words of --name=value.
  [[ $current == "=" ]] && current=""
  for ((position = $1; position < COMP_CWORD; position++)); do
    [[ ${COMP_WORDS[position]} == "=" ]] || words+=("${COMP_WORDS[position]}")
  done
  start[0]=${start[0]/#\~\//$HOME/}
  program=$(printf %s "$program" | tr a-z- A-Z_)
  COMPREPLY=()
  while IFS= read -r line; do
    [[ -n $line ]] && COMPREPLY+=("${line%%$'\t'*}")
  done < <(env UV_NO_SYNC=1 "_${program}_COMPLETE=complete_fish" _TYPER_COMPLETE_FISH_ACTION=get-args \
    _TYPER_COMPLETE_ARGS="${words[*]} $current" "${start[@]}" 2>/dev/null)
}

_aoai_gateway_complete() {
  _aoai_gateway_ask 0
}

# `uv run PROGRAM …` is ours, all the rest is uv's own.
_aoai_gateway_complete_uv() {
  local position has_run=""
  for ((position = 1; position < COMP_CWORD; position++)); do
    if [[ -n $has_run && $_aoai_gateway_programs == *" ${COMP_WORDS[position]##*/} "* ]]; then
      _aoai_gateway_ask "$position"
      return
    fi
    [[ ${COMP_WORDS[position]} == run ]] && has_run=1
  done
  [[ -n $_aoai_gateway_uv ]] && "$_aoai_gateway_uv" "$@"
}

complete -o default -F _aoai_gateway_complete @PROGRAMS@
if [[ $(complete -p uv 2>/dev/null) =~ \ -F\ ([^ ]+)\  && ${BASH_REMATCH[1]} != _aoai_gateway_complete_uv ]]; then
  _aoai_gateway_uv=${BASH_REMATCH[1]}
fi
complete -o default -F _aoai_gateway_complete_uv uv
