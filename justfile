# Every recipe is one program, so that CI, an editor or a shell can call it without `just`.

# Lists the recipes.
default:
    @just --list --unsorted

# Builds the native WASI wheels, unless they are in the cache.
extensions:
    @python3 guest-python/extensions

# Builds the guest, unless it is in the cache, and prints where it is.
guest:
    @python3 guest-python/build

# Pins what `guest-python/requirements/*.in` ask for, with hashes.
lock-guest:
    @python3 guest-python/build/lock.py
