#!/usr/bin/env bash
# Runs one broker: $1 is its directory, the rest the command. It ends when our standard input does, so
# also when the test process is killed. The directory goes then too, unless the line `keep` came before.
set -u
dir=$1
shift
exec 3<&0
"$@" </dev/null >>"$dir.log" 2>&1 3<&- &
child=$!
echo "$child"
# The shell would report each broker that a test kills.
exec 2>/dev/null

keep=
while kill -0 "$child" 2>/dev/null; do
  line=
  read -r -t 1 -u 3 line
  code=$?
  # Any part of it will do: a second may be over in the middle of the line.
  [ -z "$line" ] || keep=1
  if [ "$code" -gt 0 ] && [ "$code" -le 128 ]; then
    kill -KILL "$child"
    break
  fi
done
wait "$child"
code=$?
[ -n "$keep" ] || rm -rf "$dir"
exit "$code"
