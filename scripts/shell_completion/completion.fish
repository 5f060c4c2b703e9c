# Completion of @PROGRAMS@.

# The position of our program among the words before the cursor: the first, or one behind `uv run`.
function __aoai_gateway_position
    set -l words (commandline -opc)
    if not string match --quiet --regex '(^|/)uv$' -- $words[1]
        echo 1
        return
    end
    set -l has_run
    for position in (seq 2 (count $words))
        if set --query has_run[1]; and contains -- (string replace --regex '.*/' '' -- $words[$position]) @PROGRAMS@
            echo $position
            return
        end
        test "$words[$position]" = run; and set has_run yes
    end
    return 1
end

# What the program answers; files, where it knows nothing.
function __aoai_gateway_ask
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l position (__aoai_gateway_position)
    set -l start (string replace --regex '^~/' $HOME/ -- $words[1..$position])
    set -l program (string replace --regex '.*/' '' -- $words[$position] | string upper | string replace --all - _)
    set -l asked (string escape -- $words[$position..-1] | string join ' ')
    set -l found (env UV_NO_SYNC=1 _{$program}_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS="$asked $current" $start 2>/dev/null)
    # fish compares candidates with the whole of --name=value.
    set -l option (string match --regex '^--[^=]+=' -- $current)
    set -l value (string replace --regex '^--[^=]+=' '' -- $current)
    if test -n "$found"
        printf '%s\n' "$option"$found
    else
        set found (__fish_complete_path $value)
        printf '%s\n' "$option"$found
    end
end

for program in @PROGRAMS@
    complete --command $program --no-files --arguments '(__aoai_gateway_ask)'
end
complete --command uv --condition __aoai_gateway_position --no-files --arguments '(__aoai_gateway_ask)'
