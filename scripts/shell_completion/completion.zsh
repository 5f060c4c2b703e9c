# Completion of @PROGRAMS@.
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
typeset -ga _aoai_gateway_programs=(@PROGRAMS@)

# Asks a program for candidates. `words` begins with its name; before it, the words that start it.
_aoai_gateway_ask() {
  local program=${${(Q)words[1]}:t} current="${(Q)PREFIX}" answer line
  local -a start=("$@" "${(Q)words[1]}") asked=("${(@)words[1,CURRENT-1]}") described
  start[1]=${start[1]/#\~\//$HOME/}
  answer=$(env UV_NO_SYNC=1 "_${${(U)program}//-/_}_COMPLETE=complete_fish" \
    _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS="${asked[*]} ${(q)current}" \
    "${start[@]}" 2>/dev/null)
  [[ $PREFIX == --*=* ]] && compset -P '*='
  if [[ -z $answer ]]; then
    _files
    return
  fi
  for line in "${(@f)answer}"; do
    described+=("${${line%%$'\t'*}//:/\\:}:${${line#*$'\t'}#${line%%$'\t'*}}")
  done
  _describe -V "$program" described
}

_aoai_gateway_complete() {
  _aoai_gateway_ask
}

# `uv run PROGRAM …` is ours, all the rest is uv's own.
_aoai_gateway_complete_uv() {
  local position
  local -a start
  for (( position = ${words[(i)run]} + 1; position < CURRENT; position++ )); do
    if (( ${_aoai_gateway_programs[(Ie)${words[position]:t}]} )); then
      start=("${(@Q)words[1,position-1]}")
      words=("${(@)words[position,-1]}")
      (( CURRENT -= position - 1 ))
      _aoai_gateway_ask "${start[@]}"
      return
    fi
  done
  ${_aoai_gateway_uv:-_default} "$@"
}

compdef _aoai_gateway_complete @PROGRAMS@
[[ ${_comps[uv]:-} == _aoai_gateway_complete_uv ]] || typeset -g _aoai_gateway_uv=${_comps[uv]:-}
compdef _aoai_gateway_complete_uv uv
