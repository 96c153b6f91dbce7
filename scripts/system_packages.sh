#!/usr/bin/env bash
# Install the Debian packages that the tests use, or say which line would.
# --optional PACKAGE...: only these, and go on without them where they cannot be installed.
set -euo pipefail

optional=no
packages=(bubblewrap chromium etcd-server fonts-noto-cjk fortunes-zh systemd)
packages+=(slurmctld slurmd slurm-client munge slurmrestd slurm-wlm-jwt-plugin)     # testbeds/slurm.py
packages+=(slurmdbd slurm-wlm-mysql-plugin mariadb-server)                          # testbeds/slurm_database.py
if [ "${1:-}" = --optional ]; then
  optional=yes
  shift
  packages=("$@")
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

line="apt-get install --no-install-recommends -y ${missing[*]}"
if [ "$(id -u)" -ne 0 ]; then
  echo "missing Debian packages; as root: $line" >&2
  [ "$optional" = yes ] && exit 0
  exit 1
fi

# The tests start their own daemons; the packages' services shall not start. A policy of the machine's own stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

echo "installing: ${missing[*]}"
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install --no-install-recommends -y -qq "${missing[@]}"; } >/tmp/hutong-apt.log 2>&1 || {
  tail -5 /tmp/hutong-apt.log >&2
  [ "$optional" = yes ] && exit 0
  exit 1
}
