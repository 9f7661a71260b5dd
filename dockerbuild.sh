#!/usr/bin/env bash
# Builds and runs the server or a client in a container. dockerbuild.ps1 runs the same docker commands; change both.
set -euo pipefail
shopt -s globasciiranges # a-z is 26 letters in every language

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
	cat <<'END'
Usage: ./dockerbuild.sh server          build the server and run it, reachable at port 7777 of this machine
       ./dockerbuild.sh client [NAME]   build the client and run it as NAME; asks for a name if none is given
       ./dockerbuild.sh --help

The containers meet in the docker network goTCPnet (192.168.111.0/24), the server at 192.168.111.111. What is said is
kept in the docker volume gotcpdata; to forget it: docker volume rm gotcpdata
DOCKER_BUILD_ARGS in the environment is given to docker build, as in
  DOCKER_BUILD_ARGS=--network=host ./dockerbuild.sh server
END
}

fail() {
	printf 'dockerbuild: %s\n' "$@" >&2
	exit 1
}

wrong() {
	echo "dockerbuild: $*; ./dockerbuild.sh --help lists what there is" >&2
	exit 2
}

require_docker() {
	command -v docker >/dev/null || fail "there is no docker command here; install Docker first (on Debian: apt-get install docker.io)"
	docker version --format '{{.Server.Version}}' >/dev/null ||
		fail "docker does not reach its engine; what it said is above." \
			"Is the engine started, and may you use it (root, or a member of the group docker)?"
}

require_name() {
	local status
	if status=$(docker container inspect --format '{{.State.Status}}' gotcpserver 2>/dev/null); then
		fail "there is a container named gotcpserver already ($status)." \
			"To stop it: docker stop gotcpserver. If it is still listed then: docker rm gotcpserver"
	fi
}

require_network() {
	local subnet
	if subnet=$(docker network inspect --format '{{range .IPAM.Config}}{{.Subnet}}{{end}}' goTCPnet 2>/dev/null); then
		if [[ $subnet != 192.168.111.0/24 ]]; then
			fail "the docker network goTCPnet has the subnet $subnet, but 192.168.111.0/24 is needed." \
				"To remove it: docker network rm goTCPnet"
		fi
		return
	fi
	docker network create --subnet 192.168.111.0/24 goTCPnet >/dev/null ||
		fail "docker could not make the network goTCPnet; what it said is above." \
			"If it speaks of an overlap, another network uses 192.168.111.0/24: find it with docker network ls, or ip route"
}

build() {
	local arguments=()
	read -r -a arguments <<<"${DOCKER_BUILD_ARGS:-}" || true
	docker build "${arguments[@]}" --file "$root/deploy/Dockerfile" --target "$1" --tag "gotcp$1" "$root" ||
		fail "the image gotcp$1 could not be built; what docker said is above." \
			"If it could not reach the package mirror, try: DOCKER_BUILD_ARGS=--network=host"
}

# 125 is docker's own failure; any other code is that of the program inside.
ended() {
	if (($1 == 125)); then
		fail "docker could not start the container; what it said is above." "$2"
	fi
	exit "$1"
}

run_server() {
	local status=0
	require_docker
	require_name
	require_network
	build server
	docker run --rm --name gotcpserver --network goTCPnet --ip 192.168.111.111 -p 7777:7777 \
		--read-only --cap-drop ALL --volume gotcpdata:/var/lib/tcpchat gotcpserver || status=$?
	ended "$status" "If it speaks of a port, another program uses 7777: find it with docker ps, or ss -ltnp. \
If it speaks of an address, another container has 192.168.111.111: docker network inspect goTCPnet"
}

ask_name() {
	printf 'Enter USERNAME: ' >&2
	read -r name || true
	[[ -n $name ]] || wrong "a client needs a name"
}

run_client() {
	local name=${1-} container status=0
	require_docker
	if [[ -z $name ]]; then ask_name; fi
	echo "You're now @$name"
	# Docker allows fewer characters in a name than the chat does.
	container=gotcpclient${name//[^a-zA-Z0-9_.-]/_}$(od -An -N3 -tx1 /dev/urandom | tr -d ' \n')
	require_network
	build client
	docker run --rm --name "$container" --network goTCPnet --interactive --tty \
		--read-only --cap-drop ALL gotcpclient tcpclient -username "$name" 192.168.111.111 || status=$?
	ended "$status" "A client needs a terminal; if that is not the reason, start it again."
}

case ${1-} in
server)
	(($# == 1)) || wrong "server takes no arguments"
	run_server
	;;
client)
	(($# <= 2)) || wrong "client takes one NAME (in quotes if it has a space)"
	run_client "${2-}"
	;;
-h | --help) usage ;;
'') wrong "say server or client" ;;
*) wrong "unknown argument '$1'" ;;
esac
