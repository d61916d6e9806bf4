#!/usr/bin/env bash
# Installs what the browser tests need on Debian 12, as root, and prints where axe-core is. Does nothing when all is there.
set -euo pipefail
cd "$(dirname "$0")/../.."

packages=(chromium chromium-driver python3-selenium python3-jsonschema python3-pip python3-yaml unzip fonts-dejavu-core)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >&2
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# axe-core looks for what keeps people with screen readers or keyboards out. Its wheel is for another driver; only the
# script in it is used.
folder=build/browser
if [ ! -s "$folder/axe.min.js" ]; then
  mkdir -p "$folder"
  echo 'axe-core-python==0.1.0 --hash=sha256:f99f6bd674726c631c5e20b876983b44dff2b8f452a0ccf08f3c23ee45d0aac3' \
    >"$folder/requirements"
  /usr/bin/python3 -m pip download -q --no-deps --require-hashes -d "$folder" -r "$folder/requirements" >&2
  unzip -p "$folder"/axe_core_python-*.whl axe_core_python/axe.min.js >"$folder/axe.part"
  mv "$folder/axe.part" "$folder/axe.min.js"
fi
echo "$PWD/$folder/axe.min.js"
