#!/bin/bash
# Saves what the lake is made of into one file, or puts it back: the volumes below /volumes, which must not be in use.
set -euo pipefail
umask 077
file=/backup/lake.tar

fail() {
  echo "backup: $*" >&2
  exit 1
}

if [[ -n $(find /volumes/postgres -maxdepth 3 -name postmaster.pid) ]]; then
  fail "PostgreSQL runs, or did not end well: stop it first, see docs/containers.md"
fi
case "${1:-}" in
  save)
    # A file by this name is whole.
    (cd /volumes && tar --create --file "$file.partial" -- *)
    mv "$file.partial" "$file"
    du -h "$file"
    ;;
  restore)
    [[ -f $file ]] || fail "there is no lake.tar in BACKUP_FOLDER"
    tar --list --file "$file" > /dev/null || fail "lake.tar is damaged, nothing was changed"
    find /volumes -mindepth 2 -delete
    tar --extract --preserve-permissions --same-owner --file "$file" --directory /volumes
    ;;
  *)
    fail "say save or restore"
    ;;
esac
