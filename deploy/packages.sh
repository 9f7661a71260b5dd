# Reads deploy/packages and installs from it. Sourced by ./run, ./check and the Dockerfile; bash.
# shellcheck shell=bash

packages_file=${packages_file:-$(dirname "${BASH_SOURCE[0]}")/packages}

# The packages of the groups, one a line, alternatives as they are written (a|b).
packages_of() {
	local group
	for group in "$@"; do
		sed -n "s/^$group:[[:space:]]*//p" "$packages_file" | tr -s '[:blank:]' '\n'
	done
}

packages_installed() {
	[[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

packages_offered() {
	[[ $(apt-cache policy "$1" 2>/dev/null) == *"Candidate: "[!\(]* ]]
}

# Is one of the alternatives a|b|c installed?
packages_any_installed() {
	local name
	for name in ${1//|/ }; do
		if packages_installed "$name"; then return 0; fi
	done
	return 1
}

# The first of the alternatives a|b|c that the system offers; the first of all if it offers none.
packages_choose() {
	local name
	for name in ${1//|/ }; do
		if packages_offered "$name"; then
			echo "$name"
			return
		fi
	done
	echo "${1%%|*}"
}

# What is missing of the groups, one a line, alternatives as they are written.
packages_missing() {
	local entry
	for entry in $(packages_of "$@"); do
		packages_any_installed "$entry" || echo "$entry"
	done
}

packages_as_root() {
	if ((EUID == 0)); then
		"$@"
	else
		sudo "$@"
	fi
}

packages_apt() {
	packages_as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y "$@" </dev/null
}

# Installs what is missing of the groups, and says so before. Touches nothing when nothing is missing.
packages_install() {
	local entry names=() missing=()

	if ! command -v dpkg-query apt-get >/dev/null; then
		echo "This is not a Debian or Ubuntu system, so nothing is installed. Needed are the equivalents of:" >&2
		echo "  $(packages_of "$@" | xargs)" >&2
		return 0
	fi
	mapfile -t missing < <(packages_missing "$@")
	if ((${#missing[@]} == 0)); then return 0; fi

	echo "Going to install with apt-get: ${missing[*]}"
	if ((EUID != 0)) && ! command -v sudo >/dev/null; then
		echo "That takes root, and there is no sudo here. Become root and run the same command again." >&2
		return 1
	fi
	packages_apt update >/dev/null || echo "apt-get update failed; trying with the package lists at hand." >&2
	for entry in "${missing[@]}"; do
		names+=("$(packages_choose "$entry")")
	done
	if ! packages_apt install --no-install-recommends "${names[@]}"; then
		echo "apt-get could not install: ${names[*]}" >&2
		return 1
	fi
}
