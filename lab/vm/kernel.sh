#!/bin/bash
# kernel.sh DIRECTORY: puts Debian's stock kernel there, or what the tests need of it: vmlinuz, and lib/modules/VERSION.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin" # depmod

directory=$1
mkdir -p "$(dirname "$directory")"
work=$(mktemp -d "$directory.XXXXXX") # beside its place, for the mv
trap 'rm -rf "$work"' EXIT

package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1)
if [ -z "$package" ]; then
	echo "apt knows no linux-image-amd64: run apt-get update" >&2
	exit 1
fi
version=${package#linux-image-}
echo "downloading $package"
(cd "$work" && apt-get download -q "$package")

modules=./lib/modules/$version
dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work" --wildcards --no-wildcards-match-slash \
	"./boot/vmlinuz-$version" "$modules/modules.*" \
	"$modules/kernel/arch/x86/crypto" "$modules/kernel/crypto" "$modules/kernel/lib" \
	"$modules/kernel/drivers/virtio" "$modules/kernel/fs/9p" "$modules/kernel/fs/fscache" "$modules/kernel/fs/netfs" "$modules/kernel/fs/overlayfs" \
	"$modules/kernel/drivers/net/*.ko" "$modules/kernel/drivers/net/ppp" "$modules/kernel/drivers/net/slip" \
	"$modules"/kernel/net/{802,8021q,9p,bridge,ipv4,ipv6,llc,netfilter,packet,sched}
depmod -b "$work" "$version"

mkdir "$work/new"
mv "$work/boot/vmlinuz-$version" "$work/new/vmlinuz"
mv "$work/lib" "$work/new/lib"
rm -rf "$directory"
mv "$work/new" "$directory"
