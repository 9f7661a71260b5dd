#!/bin/sh
# bot.sh URL ROOM [NAME [FILE]]: says each line of its input in the room, once; writes each event of the room to its output, once.
# It may be stopped, and the server too: a message has a key, by which it is said once however often it is sent, and FILE has the
# id of the event that was written last.
room=$1/rooms/$2 name=${3:-bot} file=${4:-bot.last}
follow() {
	curl -sSfN -H 'Accept: text/event-stream' -H "Last-Event-ID: $(cat "$file" 2>/dev/null || echo 0)" "$room/stream" |
	while IFS= read -r line; do
		case $line in
		'id: '*) number=${line#id: } ;;
		'data: '*) [ -z "$number" ] || { printf '%s\n' "${line#data: }" && echo "$number" >"$file"; } ;;
		'') number= ;;
		esac
	done
}
say() { # again until the server has an answer; what is wrong with a message (4xx) stays wrong
	key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	until status=$(printf %s "$1" | curl -sS --max-time 10 -o /dev/null -w '%{http_code}' -H "Idempotency-Key: $key" \
		-H 'Content-Type: text/plain' --data-binary @- "$room/messages?name=$name") && [ "$status" -lt 500 ]; do sleep 1; done
}
while :; do follow; sleep 1; done 2>/dev/null &
while IFS= read -r text; do [ -z "$text" ] || say "$text"; done
wait
