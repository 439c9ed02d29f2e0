#!/bin/sh
# Puts the files of the hardened image together, and those the full one has beside its base:
# `rootfs.sh ARTEFACTS ROOT FULL`, run in the base image.
set -eu
artefacts=$1
root=$2
full=$3

mkdir -p "$root/usr/local/bin" "$root/usr/local/lib/par" "$root/usr/local/share/par" "$root/etc/ssl/certs" "$root/tmp" \
    "$root/var/cache/par" "$root/proc" "$root/sys" "$root/dev"

cp "$artefacts/par" "$root/usr/local/bin/par"
cp -r "$artefacts/guest" "$root/usr/local/lib/par/guest"
cp "$artefacts/par.cdx.json" "$root/usr/local/share/par/"

# What `par` is linked with, and the loader, where the loader looks for them.
libraries() {
    ldd "$root/usr/local/bin/par" | grep -o '/[^ ]*'
}
libraries >/dev/null
for library in $(libraries); do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done

cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
printf 'root:x:0:0::/nonexistent:/nonexistent\npar:x:10001:10001::/nonexistent:/nonexistent\n' >"$root/etc/passwd"
printf 'root:x:0:\npar:x:10001:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"

# What of the base is in the image, beside the bill of PAR itself.
{
    printf '{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": ['
    comma=
    for package in ca-certificates libc6 libgcc-s1; do
        version=$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null) || continue
        printf '%s\n {"type": "library", "name": "%s", "version": "%s", "purl": "pkg:deb/debian/%s@%s"}' \
            "$comma" "$package" "$version" "$package" "$version"
        comma=,
    done
    printf '\n]}\n'
} >"$root/usr/local/share/par/image.cdx.json"

mkdir -p "$full/usr" "$full/etc/ssl/certs" "$full/var/cache/par"
cp -r "$root/usr/local" "$full/usr/local"
cp "$artefacts/uv" "$full/usr/local/bin/uv"
cp "$root/etc/ssl/certs/ca-certificates.crt" "$full/etc/ssl/certs/"

# Nobody writes to anything but the cache and `/tmp`, and to them only where the container may write at all.
for tree in "$root" "$full"; do
    chown -R 0:0 "$tree"
    chmod -R u=rwX,go=rX "$tree"
    chmod 0755 "$tree"/usr/local/bin/*
    chown 10001:10001 "$tree/var/cache/par"
    chmod 0700 "$tree/var/cache/par"
done
chmod 1777 "$root/tmp"
find "$root" "$full" -exec touch -h -d "@${SOURCE_DATE_EPOCH:-0}" {} +
