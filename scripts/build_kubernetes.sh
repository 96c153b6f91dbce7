#!/usr/bin/env bash
# Build the three programs of a Kubernetes 1.20.2 control plane, for testbeds/kubernetes.py, unless they are there.
#   build_kubernetes.sh DESTINATION
# The source is Debian 12's package `kubernetes`, which carries what it needs, and Debian's Go 1.19. It takes about
# twelve CPU minutes and 3 GB under TMPDIR, and root for apt-get.
set -euo pipefail
programs=(kube-apiserver kube-controller-manager kube-scheduler)
version=1.20.2
destination=${1:?destination folder}

found=yes
for program in "${programs[@]}"; do [ -x "$destination/$program" ] || found=no; done
[ "$found" = yes ] && exit 0

needed=(golang-go golang-github-modern-go-reflect2-dev dpkg-dev rsync jq make)
if [ "$(id -u)" -ne 0 ]; then
  echo "Kubernetes is not in $destination, and building it needs root for apt-get: sudo $0 $destination" >&2
  exit 1
fi
echo "building Kubernetes $version in $destination (about ten minutes, once) ..."
mkdir -p "$destination"
work=$(mktemp -d "${TMPDIR:-/tmp}/hutong-kubernetes-build-XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
log=$work/log
step() { "$@" >>"$log" 2>&1 || { echo "failed: $*" >&2; tail -20 "$log" >&2; exit 1; }; }

step apt-get update
DEBIAN_FRONTEND=noninteractive step apt-get install -y --no-install-recommends "${needed[@]}"

# The source list lives in the work folder: the machine's own lists stay as they are.
mkdir -p "$work/apt/lists" "$work/apt/cache"
repository=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | awk '!/security/ && !found++')
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $repository bookworm main" >"$work/apt/sources.list"
apt=(apt-get -o Dir::Etc::sourcelist="$work/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root)
cd "$work"
step "${apt[@]}" update
step "${apt[@]}" source kubernetes
cd "$work"/kubernetes-1.20*/

# The vendored reflect2 1.0.1 crashes the API server when it is built with Go 1.18 and later; Debian has 1.0.2.
rm -f vendor/github.com/modern-go/reflect2/*.{go,s}
cp -L /usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} vendor/github.com/modern-go/reflect2/
rm -f vendor/github.com/modern-go/reflect2/*_test.go

cat >version.txt <<VERSION
KUBE_GIT_COMMIT='0000000000000000000000000000000000000000'
KUBE_GIT_TREE_STATE='clean'
KUBE_GIT_VERSION='v$version'
KUBE_GIT_MAJOR='1'
KUBE_GIT_MINOR='20'
VERSION
mkdir -p .go/src/k8s.io && ln -s ../../.. .go/src/k8s.io/kubernetes
export GOPATH=$PWD/.go HOME=$work CGO_ENABLED=0 GOFLAGS='' KUBE_GIT_VERSION_FILE=$PWD/version.txt
step make generated_files
step make WHAT="$(printf 'cmd/%s ' "${programs[@]}")"
for program in "${programs[@]}"; do
  install -m755 "_output/bin/$program" "$destination/.$program" && mv "$destination/.$program" "$destination/$program"
done
